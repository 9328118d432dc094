"""A scan whose grey values say what they are, and a model that needs no learning because it reads them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cafrnet.labels import TABLE
from cafrnet.preprocessing import Preprocessing


def stairs(slices: int = 5, rows: int = 48, cols: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (image, labels, affine) of a small asymmetric spine whose grey value is 10 + 10 * id.

    Array order of SpineMRI (AP, SI, LR); 2 mm pixels, 4 mm slices. One voxel is 0, the background is 10, so
    that normalisation makes each id k the grey value k / 21.
    """
    ids = np.zeros((slices, rows, cols), np.uint8)  # slice to the right, row caudally, column posteriorly
    for step, identity in enumerate((6, 15, 5, 14, 4, 13, 3, 12, 2, 11, 1)):
        ids[1:, 3 + 4 * step : 7 + 4 * step, 4 + step : 12 + step] = identity
    ids[:, 2:40, 24:26] = 20
    ids[2:, 10:30, 27:31] = 21
    grey = 10 + 10 * ids.astype(np.int16)
    grey[0, 0, 0] = 0
    affine = np.array([[0, 0, 4.0, -5], [-2, 0, 0, 60], [0, 2, 0, -64], [0, 0, 0, 1]])
    image, labels = (np.ascontiguousarray(a[:, ::-1].transpose(2, 1, 0)) for a in (grey, ids))
    return image, labels, affine


def write_stairs(path: Path, **more: int) -> Path:
    """Write the image of :func:`stairs` as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, _, affine = stairs(**more)
    nib.save(nib.Nifti1Image(image, affine), path)
    return path


def moved(labels, affine, axes, flips, crop=None):
    """The same voxels in another axis order, mirrored, and perhaps only a box of them; with their affine."""
    at = affine.copy()
    result = labels.transpose(axes)
    at[:3, :3] = affine[:3, list(axes)]
    for axis, flip in enumerate(flips):
        if flip:
            at[:3, 3] += at[:3, axis] * (result.shape[axis] - 1)
            at[:3, axis] *= -1
            result = np.flip(result, axis)
    if crop:
        at[:3, 3] += at[:3, :3] @ [c.start for c in crop]
        result = result[crop]
    return np.ascontiguousarray(result), at


def save_segments(path, layers, affine, segments, *, kind="list"):
    """Write a .seg.nrrd as Slicer does: ``layers`` [n, i, j, k]; ``segments`` (name, value, layer)."""
    layers = np.asarray(layers, np.uint8)
    flip = np.diag([-1.0, -1.0, 1.0])  # RAS to LPS
    lps = flip @ affine[:3, :3], flip @ affine[:3, 3]
    vectors = " ".join("(" + ",".join(f"{v:g}" for v in lps[0][:, k]) + ")" for k in range(3))
    several = len(layers) > 1
    head = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {4 if several else 3}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, layers.shape if several else layers.shape[1:])),
        f"space directions: {'none ' if several else ''}{vectors}",
        f"kinds: {f'{kind} ' if several else ''}domain domain domain",
        "encoding: raw",
        "space origin: (" + ",".join(f"{v:g}" for v in lps[1]) + ")",
    ]
    for k, (name, value, layer) in enumerate(segments):
        head += [f"Segment{k}_ID:=Segment_{k}", f"Segment{k}_Name:={name}"]
        head += [f"Segment{k}_LabelValue:={value}", f"Segment{k}_Layer:={layer}"]
    head += ["Segmentation_MasterRepresentation:=Binary labelmap", "", ""]
    voxels = layers if several else layers[0]
    path.write_bytes("\n".join(head).encode() + voxels.tobytes(order="F"))
    return path


def write_grey_model(
    folder: Path,
    *,
    size: int = 64,
    pixel_mm: float = 2.0,
    num_classes: int = 22,
    trained: list[int] | None = None,
    metadata: dict[str, object] | None = None,
) -> Path:
    """Write a run folder whose network finds id k where the grey value is k / 21: one 1 x 1 convolution.

    ``metadata`` replaces or (None) removes entries of the file's metadata.
    """
    onnx = pytest.importorskip("onnx", reason="the 'train' extra is not installed")
    centre = np.arange(num_classes, dtype=np.float32) / 21  # largest of -(v - centre)^2: the nearest centre
    weights = {"w": 2000 * centre[:, None, None, None], "b": -1000 * centre**2}
    image, logits = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", channels, size, size])
        for name, channels in (("image", 1), ("logits", num_classes))
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["image", "w", "b"], ["logits"])],
        "grey",
        [image],
        [logits],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    settings = Preprocessing(pixel_mm=pixel_mm, size=size, contrast="none")
    entries = {
        "label_table": TABLE.version,
        "num_classes": num_classes,
        "trained": list(range(num_classes)) if trained is None else trained,
        "preprocessing": settings.to_dict(),
        **(metadata or {}),
    }
    for key, value in entries.items():
        if value is not None:
            entry = model.metadata_props.add()
            entry.key, entry.value = f"cafrnet.{key}", json.dumps(value)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    settings.save(folder / "preprocessing.json")
    return folder
