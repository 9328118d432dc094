"""What a phantom should be like: everything that is not left to chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UsageError, nearest
from ..labels import TABLE

CONTRASTS = ("t2", "t1", "stir")
#: Every tissue of a grey value of its own, as no sequence gives it: for training only.
ANY = "any"
#: How often each contrast comes with ``contrast="random"``.
CONTRAST_WEIGHTS = (0.7, 0.2, 0.1)
#: In-plane matrices and pixel sizes in mm that clinical lumbar scans come with (about 300 mm across).
CLINICAL_GRIDS = ((448, 0.65), (512, 0.58), (512, 0.55), (640, 0.47))


@dataclass(frozen=True)
class PhantomOptions:
    """Options of one phantom. What is None is drawn.

    Attributes:
        matrix: voxels (antero-posterior, cranio-caudal) in the sagittal plane.
        pixel_mm: pixel size, 0.2 to 3.
        slices: number of sagittal slices.
        slice_spacing_mm: distance between them; drawn so that the slices cover 53 to 66 mm.
        contrast: ``"t2"``, ``"t1"``, ``"stir"``, or ``"random"`` (70, 20 and 10 %); ``"any"`` is random in
            one half and draws the grey value of every tissue anew in the other (domain randomisation).
        fov: ``"random"``: a clinical field of view of the given matrix, its top usually between T9 and T12,
            now and then cut higher at the bottom. ``"full"``: sacrum to T9, with as many rows as that takes.
            A pair of names such as ``("L4", "T12")``: from the lowest to the highest structure seen whole,
            with as many rows as that takes.
        curvature: factor on lordosis, kyphosis and sacral slope; 0 is a straight, upright column.
        deformity: factor on scoliosis and on the chance of fractures, slips and wedge deformities.
        degeneration: factor on the age of the discs; 0 leaves all of them healthy.
        noise: factor on noise.
        oblique_deg: largest tilt of the slices against the patient.
        supersampling: planes per slice that are averaged for partial volume.
        endplate_gap_mm: strip around each endplate that belongs to neither body nor disc, as annotators of
            real scans leave it (0.9 to 1.9 mm in most of SPIDER's label maps, none in some).
    """

    matrix: tuple[int, int] | None = None
    pixel_mm: float | None = None
    slices: int | None = None
    slice_spacing_mm: float | None = None
    contrast: str = "random"
    fov: str | tuple[str, str] = "random"
    curvature: float = 1.0
    deformity: float = 1.0
    degeneration: float = 1.0
    noise: float = 1.0
    oblique_deg: float = 3.0
    supersampling: int = 3
    endplate_gap_mm: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can't be drawn.

        Raises:
            UsageError: an option out of range; the message says what came and what is expected.
        """
        if self.contrast not in (*CONTRASTS, "random", ANY):
            raise UsageError(f"no phantom contrast {self.contrast!r}{nearest(self.contrast, CONTRASTS)}")
        self._check_range("pixel_mm", 0.2, 3.0)
        self._check_range("slices", 1, 200)
        self._check_range("slice_spacing_mm", 0.2, 20.0)
        self._check_range("curvature", 0.0, 1.5)
        self._check_range("deformity", 0.0, 3.0)
        self._check_range("degeneration", 0.0, 3.0)
        self._check_range("noise", 0.0, 20.0)
        self._check_range("oblique_deg", 0.0, 20.0)
        self._check_range("supersampling", 1, 15)
        self._check_range("endplate_gap_mm", 0.0, 3.0)
        if self.matrix is not None and (
            len(self.matrix) != 2 or not all(16 <= n <= 4096 for n in self.matrix)
        ):
            raise UsageError(f"matrix {self.matrix} came, two numbers from 16 to 4096 were expected")
        self._check_fov()

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is not None and not low <= value <= high:
            raise UsageError(f"phantom option {name}={value} is outside {low:g} to {high:g}")

    def _check_fov(self) -> None:
        if isinstance(self.fov, str):
            if self.fov not in ("random", "full"):
                raise UsageError(
                    f"fov {self.fov!r} came; expected 'random', 'full' or a pair of structure names"
                )
            return
        ids = [TABLE[name].id for name in self.fov]
        column = TABLE.column
        if len(ids) != 2 or any(i not in column for i in ids) or column.index(ids[0]) > column.index(ids[1]):
            raise UsageError(
                f"fov {self.fov} came; expected (lowest, highest) structure, such as ('L5', 'T12')"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the options for JSON."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


#: Nothing set: everything is drawn.
DEFAULT = PhantomOptions()
#: Small and quick: the size of the model grid, for demos and tests.
SMALL = PhantomOptions(matrix=(256, 256), pixel_mm=1.17, slices=12, supersampling=2)
