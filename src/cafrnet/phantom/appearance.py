"""Grey levels: what each tissue looks like in a contrast, and what scanner and coil make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage
from scipy.special import expit

from .options import ANY, CONTRAST_WEIGHTS, CONTRASTS, PhantomOptions

#: Tissue -> signal in T2, T1 and STIR, against the brightest tissue of that contrast.
TISSUES: dict[str, tuple[float, float, float]] = {
    "air": (0.01, 0.01, 0.01),
    "skin": (0.30, 0.45, 0.15),
    "fat": (0.74, 0.95, 0.06),
    "deep fat": (0.70, 0.85, 0.07),
    "septum": (0.35, 0.50, 0.06),
    "fascia": (0.06, 0.12, 0.04),
    "muscle": (0.14, 0.30, 0.22),
    "marrow": (0.40, 0.55, 0.13),
    "yellow marrow": (0.52, 0.80, 0.09),
    "oedema": (0.62, 0.30, 0.60),
    "cortex": (0.04, 0.07, 0.03),
    "vein": (0.75, 0.30, 0.60),
    "ligament": (0.07, 0.11, 0.05),
    "annulus": (0.10, 0.25, 0.08),
    "csf": (1.00, 0.13, 1.00),
    "cord": (0.36, 0.40, 0.40),
    "root": (0.42, 0.36, 0.42),
    "vessel": (0.04, 0.08, 0.05),
    "bowel": (0.34, 0.36, 0.40),
    "gas": (0.02, 0.03, 0.02),
    "liver": (0.17, 0.40, 0.20),
    "lung": (0.04, 0.06, 0.04),
    "bladder": (0.90, 0.14, 0.90),
    "facet": (0.55, 0.25, 0.60),
}
#: Signal of the nucleus by grade 1 to 5.
NUCLEUS: dict[str, tuple[float, ...]] = {
    "t2": (0.66, 0.50, 0.30, 0.15, 0.09),
    "t1": (0.31, 0.30, 0.28, 0.25, 0.22),
    "stir": (0.70, 0.52, 0.28, 0.12, 0.08),
}


@dataclass(frozen=True)
class Look:
    """How one scan renders tissues.

    Attributes:
        contrast: ``"t2"``, ``"t1"``, ``"stir"`` or ``"any"``.
        tissue: signal by tissue, about 0 to 1.
        nucleus: signal of the nucleus of grade 1 to 5.
        mottle: strength of the marrow's texture.
        rim_mm: thickness of the dark cortical rim, on the lower and the upper side of a bone (they differ
            by the chemical shift of fat).
        blur_mm: standard deviation of the point spread in the plane.
        noise: standard deviation of the complex noise.
        coil_mm: depth over which the surface coil's signal falls to 1/e; infinite when it was normalised.
        saturation: what a band in front of the spine leaves of the signal there; 1 is no band.
        drift: coefficients of a smooth bias field.
        clip: share of the brightest voxels that are clipped.
        white: grey value of signal 1.
    """

    contrast: str
    tissue: dict[str, float]
    nucleus: tuple[float, ...]
    mottle: float
    rim_mm: tuple[float, float]
    blur_mm: float
    noise: float
    coil_mm: float
    saturation: float
    drift: tuple[float, ...]
    clip: float
    white: float


def draw_look(rng: np.random.Generator, options: PhantomOptions) -> Look:
    """Draw the contrast, the grey levels and the scanner's imperfections of one scan."""
    contrast = options.contrast
    drawn = str(rng.choice(CONTRASTS, p=CONTRAST_WEIGHTS))
    contrast = drawn if contrast == "random" else contrast
    anew = contrast == ANY and rng.random() < 0.5
    contrast = drawn if contrast == ANY else contrast
    column = CONTRASTS.index(contrast)
    marrow = float(rng.normal(0, 0.16))
    tissue = {name: values[column] * float(np.exp(rng.normal(0, 0.09))) for name, values in TISSUES.items()}
    tissue["marrow"] *= float(np.exp(marrow))
    tissue["fat"] *= float(np.exp(rng.normal(-0.05, 0.15)))
    tissue["vessel"] *= float(np.exp(rng.normal(0.3, 0.6)))
    discs = float(np.exp(rng.normal(0, 0.12)))
    nucleus = tuple(v * discs for v in NUCLEUS[contrast])
    if anew:
        contrast, air = ANY, tissue["air"]
        tissue = {name: float(v) for name, v in zip(tissue, rng.uniform(0.02, 1.0, len(tissue)), strict=True)}
        tissue["air"] = air
        young, old = rng.uniform(0.05, 1.0, 2)
        nucleus = tuple(float(v) for v in np.linspace(young, old, len(nucleus)))
    flat = rng.random() < 0.25
    return Look(
        contrast=contrast,
        tissue=tissue,
        nucleus=nucleus,
        mottle=float(rng.uniform(0.05, 0.13)),
        rim_mm=(float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.5, 1.3))),
        blur_mm=float(rng.uniform(0.25, 0.5)),
        noise=float(rng.uniform(0.008, 0.028) * options.noise),
        coil_mm=float(rng.uniform(300, 700) if flat else rng.uniform(80, 150)),
        saturation=float(rng.uniform(0.08, 0.35) if rng.random() < 0.75 else 1.0),
        drift=tuple(float(v) for v in rng.normal(0, 0.09, 5)),
        clip=float(rng.uniform(0.0, 0.004)),
        white=float(rng.choice([255.0, 600.0, 1200.0, 3000.0])),
    )


class Texture:
    """Random fields of unit variance that follow anatomical scales; cheap to draw for each slice.

    One tile per scale is drawn for a scan; a slice gets it rolled by a random offset.

    Args:
        rng: source of chance.
        shape: voxels (antero-posterior, cranio-caudal).
        pixel_mm: pixel size.
    """

    #: name -> standard deviation in mm (antero-posterior, cranio-caudal)
    SCALES: ClassVar[dict[str, tuple[float, float]]] = {
        "fine": (0.6, 0.6),
        "grain": (1.3, 1.3),
        "cloud": (6.0, 6.0),
        "blob": (11.0, 13.0),
        "streak": (0.9, 13.0),
        "fibre": (3.5, 1.0),
        "septum": (4.0, 22.0),
    }

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], pixel_mm: float) -> None:
        self._rng, self._pixel_mm = rng, pixel_mm
        self._tiles = {name: _tile(rng, shape, pixel_mm, sigma) for name, sigma in self.SCALES.items()}

    def next_slice(self) -> dict[str, np.ndarray]:
        """Return one field per scale; streaks are bent, as muscles are."""
        fields = {
            name: np.roll(tile, tuple(int(self._rng.integers(n)) for n in tile.shape), axis=(0, 1))
            for name, tile in self._tiles.items()
        }
        n, m = fields["streak"].shape
        height_mm, phase = np.arange(m) * self._pixel_mm, self._rng.uniform(0, 2 * np.pi, 2)
        bend_mm = 4 * np.sin(height_mm / 40 + phase[0]) + 0.7 * np.sin(height_mm / 12 + phase[1])
        whole, part = np.divmod(bend_mm / self._pixel_mm, 1)
        rows = (np.arange(n)[:, None] + whole.astype(int)) % n
        near, far = (np.take_along_axis(fields["streak"], r, axis=0) for r in (rows, (rows + 1) % n))
        fields["streak"] = near + part.astype(np.float32) * (far - near)
        return fields


def _tile(
    rng: np.random.Generator, shape: tuple[int, int], pixel_mm: float, sigma_mm: tuple[float, float]
) -> np.ndarray:
    """Return a seamless field of unit variance, filtered in the frequency domain."""
    white = rng.standard_normal(shape, np.float32)
    spectrum = np.fft.rfft2(white)
    fy = np.fft.fftfreq(shape[0], pixel_mm)[:, None]
    fz = np.fft.rfftfreq(shape[1], pixel_mm)[None, :]
    spectrum *= np.exp(-2 * np.pi**2 * ((fy * sigma_mm[0]) ** 2 + (fz * sigma_mm[1]) ** 2))
    field = np.fft.irfft2(spectrum, s=shape).astype(np.float32)
    return field / max(float(field.std()), 1e-6)


def receive(
    image: np.ndarray,
    depth_mm: np.ndarray,
    front_mm: np.ndarray,
    z_mm: np.ndarray,
    look: Look,
    pixel_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn ideal signal into what a scanner would store: coil, saturation, blur, noise.

    Args:
        image: signal, (antero-posterior, cranio-caudal).
        depth_mm: distance of each pixel in front of the skin of the back.
        front_mm: distance of each pixel in front of the column.
        z_mm: height of each pixel.
        look: the scan's imperfections.
        pixel_mm: pixel size.
        rng: source of the noise.

    Returns:
        float32, not yet scaled to grey values.
    """
    gain = np.exp(-np.maximum(depth_mm - 25, -10) / look.coil_mm)
    u, w = depth_mm / 120 - 1, z_mm / 150
    a, b, c, d, e = look.drift
    gain = gain * np.exp(a * u + b * w + c * u * w + d * (u * u - 0.4) + e * (w * w - 0.4))
    if look.saturation < 1:
        gain = gain * (look.saturation + (1 - look.saturation) * expit((22 - front_mm) / 5))
    seen = ndimage.gaussian_filter(image * gain, look.blur_mm / pixel_mm)
    real = seen + rng.normal(0, look.noise, image.shape)
    imaginary = rng.normal(0, look.noise, image.shape)
    return np.hypot(real, imaginary).astype(np.float32)


def store(volume: np.ndarray, look: Look) -> np.ndarray:
    """Scale to whole grey values (uint16), the brightest share clipped."""
    top = float(np.quantile(volume, 1 - look.clip)) if look.clip > 0 else float(volume.max())
    return np.rint(np.clip(volume, 0, top) * (look.white / max(top, 1e-6))).astype(np.uint16)
