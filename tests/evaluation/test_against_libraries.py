"""The same numbers as MONAI and SimpleITK give, where their conventions are ours."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cafrnet.evaluation.overlap import overlap
from cafrnet.evaluation.surface import assd_mm, hd95_mm, hd_mm, nsd, surface_distances

SPACING_MM = (4.4, 0.7, 0.9)


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two irregular masks that overlap in part, away from the border."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(12, 30, 34)), (1, 2, 2))
    other = field + 0.5 * gaussian_filter(rng.normal(size=field.shape), (1, 2, 2))
    masks = [f > np.quantile(f, 0.8) for f in (field, other)]
    for mask in masks:
        mask[[0, -1]] = mask[:, [0, -1]] = mask[:, :, [0, -1]] = False
    return masks[0], masks[1]


@pytest.mark.parametrize("seed", range(3))
def test_monai(seed):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    truth, pred = blobs(seed)
    d = surface_distances(truth, pred, SPACING_MM)
    y, y_pred = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (truth, pred))
    common = {"include_background": True, "spacing": SPACING_MM}

    assert float(metrics.compute_dice(y_pred, y)) == pytest.approx(overlap(truth, pred).dsc, abs=1e-6)
    assert float(metrics.compute_iou(y_pred, y)) == pytest.approx(overlap(truth, pred).iou, abs=1e-6)
    theirs = metrics.compute_hausdorff_distance(y_pred, y, **common)
    assert float(theirs) == pytest.approx(hd_mm(d), rel=1e-5)
    theirs = metrics.compute_hausdorff_distance(y_pred, y, percentile=95, **common)
    assert float(theirs) == pytest.approx(hd95_mm(d), rel=1e-5)
    theirs = metrics.compute_average_surface_distance(y_pred, y, symmetric=True, **common)
    assert float(theirs) == pytest.approx(assd_mm(d), rel=1e-5)
    for tolerance_mm in (0.8, 1.0, 2.0):
        theirs = metrics.compute_surface_dice(y_pred, y, class_thresholds=[tolerance_mm], **common)
        assert float(theirs) == pytest.approx(nsd(d, tolerance_mm), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_simpleitk_overlap(seed):
    sitk = pytest.importorskip("SimpleITK")
    truth, pred = blobs(seed)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*(sitk.GetImageFromArray(m.astype(np.uint8)) for m in (truth, pred)))
    found = overlap(truth, pred)
    assert measures.GetDiceCoefficient() == pytest.approx(found.dsc)
    assert measures.GetJaccardCoefficient() == pytest.approx(found.iou)


@pytest.mark.parametrize("step", [(1, 0, 0), (0, 3, 0), (2, 3, 4)])
def test_simpleitk_hausdorff_of_shifted_boxes(step):
    """ITK measures between the filled masks; for a convex shape and its shifted copy that is the same."""
    sitk = pytest.importorskip("SimpleITK")
    truth, pred = np.zeros((2, 12, 20, 20), np.uint8)
    truth[3:8, 4:12, 5:11] = 1
    pred[...] = np.roll(truth, step, axis=(0, 1, 2))
    images = [sitk.GetImageFromArray(m) for m in (truth, pred)]
    for image in images:
        image.SetSpacing(SPACING_MM[::-1])
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*images)
    ours = hd_mm(surface_distances(truth > 0, pred > 0, SPACING_MM))
    assert hausdorff.GetHausdorffDistance() == pytest.approx(ours, rel=1e-5)
    assert ours <= np.linalg.norm(np.multiply(step, SPACING_MM)) + 1e-9
