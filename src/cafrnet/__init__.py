"""cafrnet: find and name every vertebra and intervertebral disc in a sagittal spine MRI.

The front door: :func:`segment`, :func:`relabel`, :func:`evaluate`, :func:`evaluate_arrays`, :func:`train`,
:func:`read_scan` and :func:`load_model`. Everything is imported when it is first used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .anatomy import NamingOptions
    from .evaluation import CaseScore, Evaluation
    from .evaluation.signal import Thresholds
    from .inference import Model, Segmentation
    from .inference.relabel import Relabelled
    from .labels import ValueSets
    from .scan import Scan

__version__ = "0.1.0.dev0"

__all__ = [
    "__version__",
    "evaluate",
    "evaluate_arrays",
    "load_model",
    "read_scan",
    "relabel",
    "segment",
    "train",
]


def read_scan(path: str | os.PathLike[str], *, series: str = "auto", pixel_mm: float | None = None) -> Scan:
    """Read a scan: NIfTI, DICOM folder, MHA/NRRD or PNG. See :func:`cafrnet.scan.read_scan`."""
    from .scan import read_scan as read

    return read(path, series=series, pixel_mm=pixel_mm)


def load_model(
    path: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    engine: str = "auto",
    max_memory_mb: float | None = None,
) -> Model:
    """Load a run or bundle once, for many scans. See :func:`cafrnet.inference.load_model`."""
    from .inference import load_model as load

    return load(path, threads=threads, engine=engine, max_memory_mb=max_memory_mb)


def segment(
    scan: str | os.PathLike[str] | Scan | np.ndarray,
    *,
    model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Model | None = None,
    affine: np.ndarray | None = None,
    series: str = "auto",
    pixel_mm: float | None = None,
    threads: int | None = None,
    tta: bool = False,
    postprocessing: NamingOptions | None = None,
) -> Segmentation:
    """Find and name the structures of one scan.

    Args:
        scan: a path, a :class:`~cafrnet.scan.Scan`, or a three-dimensional array with its ``affine``.
        model: run or bundle folder, several that answer together, or a loaded model; None is the default
            bundle.
        affine: 4 x 4, array index -> world mm in RAS; for arrays only.
        series: which series of a DICOM folder: a UID, or ``"auto"``.
        pixel_mm: pixel size of a PNG, in mm.
        threads: of one inference; None takes all cores.
        tta: test-time augmentation, see :mod:`cafrnet.inference.views`.
        postprocessing: steps from the network's answer to names; None takes those of the model: all.

    Returns:
        Labels on the scan's own grid; ``.save(path)`` writes them, ``.names`` lists what was found.

    Raises:
        cafrnet.errors.InputError: the scan or the model can't be used.
        cafrnet.errors.UsageError: an array without an affine, or no model.

    Example:
        >>> import cafrnet
        >>> cafrnet.segment("scan.nii.gz", model="runs/mine").save("scan_seg.nii.gz")  # doctest: +SKIP
    """
    from dataclasses import replace

    import numpy as np

    from .errors import UsageError
    from .inference import Model, segment_scan
    from .inference.ensemble import load_models
    from .inference.views import with_views
    from .scan import Scan

    if isinstance(scan, np.ndarray):
        if affine is None:
            raise UsageError("an array came without its affine; left and right, up and down can't be guessed")
        scan = Scan(scan, affine)
    elif affine is not None:
        raise UsageError("an affine came beside a file or a Scan, which has its own; it is for arrays only")
    elif not isinstance(scan, Scan):
        scan = read_scan(scan, series=series, pixel_mm=pixel_mm)
    if not isinstance(model, Model):
        paths = [] if model is None else [model] if isinstance(model, (str, os.PathLike)) else list(model)
        model = load_models(paths, threads=threads)
    if postprocessing is not None:
        model = replace(model, postprocessing=postprocessing)
    return segment_scan(scan, with_views(model) if tta else model)


def relabel(
    labels: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    shift: int | None = None,
    anchors: Mapping[str, Sequence[float]] | None = None,
    voxel: bool = False,
    scheme: str | None = None,
    overwrite: bool = False,
) -> Relabelled:
    """Rename all levels of a label map together, without new inference.

    Args:
        labels: label map; the record and the preview that `segment` left beside it are renewed as well.
        out: folder, or a name that ends in .nii.gz.
        shift: levels; +1 is one higher (L5 becomes L4). Either this or ``anchors``.
        anchors: name of a vertebra or disc -> a point in it, world mm in RAS.
        voxel: whether the points are array indices from 0.
        scheme: of the values; None takes that of the record, or else cafrnet's own.
        overwrite: replace files that are there already.

    Returns:
        What was done: ``.shift``, ``.lost`` (what left the table and became 255), ``.notes``. For arrays see
        :func:`cafrnet.anatomy.shift_levels`.

    Raises:
        cafrnet.errors.InputError: the label map or a point can't be used.
        cafrnet.errors.UsageError: neither shift nor anchors or both, or no such name.

    Example:
        >>> import cafrnet
        >>> cafrnet.relabel("scan_seg.nii.gz", "fixed", shift=+1)  # doctest: +SKIP
    """
    from .errors import InputError, UsageError
    from .inference.relabel import Anchor, relabel_files
    from .inference.relabel_jobs import plan_relabelling

    points = []
    for name, point in (anchors or {}).items():
        if len(point) != 3:
            raise UsageError(f"{len(point)} numbers came for {name}, three were expected")
        points.append(Anchor(name, (float(point[0]), float(point[1]), float(point[2])), voxel))
    jobs = plan_relabelling([labels], out)
    if len(jobs) > 1:
        raise UsageError(f"{labels} stands for {len(jobs)} label maps; rename them one by one")
    (done,) = relabel_files(jobs, shift=shift, anchors=points, labels=scheme, overwrite=overwrite)
    if done.status == "failed":
        raise (UsageError if done.usage else InputError)(done.message)
    return done


def evaluate(
    truth: str | os.PathLike[str],
    pred: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    labels: str = "cafrnet",
    common: str | None = None,
    split: str | os.PathLike[str] | None = None,
    part: str = "test",
    fold: int | None = None,
    slices: bool = True,
    regions: bool = False,
    thresholds: Thresholds | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score predictions against truths, case by case in 3D; one bad case never stops the rest.

    Args:
        truth: a dataset's folder, a folder of label maps, or one label map.
        pred: a folder of label maps, or one.
        out: folder for the tables; nothing is written without it.
        labels: scheme of the predictions' values.
        common: ``"body"`` cuts whole vertebrae down to bodies before comparing.
        split: file of a split; only the cases of ``part`` are scored.
        part: ``train``, ``val`` or ``test``.
        fold: which fold is tested, for a split into folds.
        slices: whether each sagittal slice is scored too.
        regions: whether the regions are scored too; needs a dataset with its images.
        thresholds: of the regions, see :func:`cafrnet.evaluation.evaluate`.
        seed: of the bootstrap interval.

    Returns:
        ``.summary``, which is what ``summary.json`` holds, and ``.cases``.

    Raises:
        cafrnet.errors.UsageError: nothing could start, or no name matches.
        cafrnet.errors.InputError: a table could not be written.

    Example:
        >>> import cafrnet
        >>> cafrnet.evaluate("data", "out").summary["headline"]["dsc"]["mean"]  # doctest: +SKIP
    """
    from .evaluation import evaluate as score

    return score(
        truth,
        pred,
        out,
        labels=labels,
        common=common,
        split=split,
        part=part,
        fold=fold,
        slices=slices,
        regions=regions,
        thresholds=thresholds,
        seed=seed,
    )


def evaluate_arrays(
    truth: np.ndarray,
    pred: np.ndarray | None,
    spacing_mm: Sequence[float],
    *,
    sets: ValueSets | None = None,
    sagittal_axis: int | None = None,
    image: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    case: str = "array",
) -> CaseScore:
    """Score one prediction given as arrays of three axes.

    Args:
        truth: integers, the dataset's own values.
        pred: ids of the label table, same shape; None where there is no prediction: all is missed.
        spacing_mm: distance of neighbouring voxel centres along each array axis.
        sets: what the truth's values stand for; each id for itself if not given.
        sagittal_axis: the array axis that counts sagittal slices; given, each slice is scored too.
        image: the scan, same shape; given, the regions are scored too.
        thresholds: of the regions; taken from this image alone if not given.
        case: name in messages.

    Returns:
        ``.mean("dsc")`` is the case score, ``.rows`` holds a score for each structure.

    Raises:
        cafrnet.errors.InputError: shapes that differ, a value that is not known, or no usable spacing.
        cafrnet.errors.UsageError: an image without ``sagittal_axis``.
    """
    from .evaluation import evaluate_arrays as score

    return score(
        truth,
        pred,
        spacing_mm,
        sets=sets,
        sagittal_axis=sagittal_axis,
        image=image,
        thresholds=thresholds,
        case=case,
    )


def train(
    recipe: str,
    data: str | os.PathLike[str],
    split: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    changes: Sequence[str] = (),
    fold: int | None = None,
    init: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Path:
    """Train a recipe and return its run folder (needs the ``train`` extra).

    Args:
        recipe: name of one that ships, or a YAML file.
        data: labelled dataset. split: ``split.json``. out: run folder, new or empty.
        changes: words like ``"epochs=100"``, as on the command line.
        fold: the test fold, for a split into folds.
        init: ``"default"``, a bundle or a run whose weights training starts from.
        progress: show a progress bar on stderr.
    """
    from .learning.bundling.trained import read_trained
    from .learning.recipes import load_recipe
    from .learning.training.run import train as run

    start = read_trained(init).recipe if init else None
    ready = load_recipe(recipe, changes, start=start)
    return run(ready, data, split, out, fold=fold, init=init, progress=progress)
