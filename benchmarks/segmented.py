"""Scores of a model's label maps as `segment` leaves them, kept in a folder so that nothing is done twice."""

import json

import cafrnet
from cafrnet.inference import load_model


def score(model, cases, folder, *, data, split, fold=None, threads=None):
    """Return the evaluation's summary of a split's test cases, segmented with a model.

    Args:
        model: run or bundle.
        cases: of the test part, from the dataset.
        folder: for label maps and ``summary.json``; where that is there, it is the answer.
        data: folder of the dataset. split, fold: as of ``evaluate``.
        threads: of an inference.
    """
    if not (folder / "summary.json").exists():
        loaded = load_model(model, threads=threads)
        (folder / "labels").mkdir(parents=True, exist_ok=True)
        for case in cases:
            cafrnet.segment(case.image, model=loaded).save(folder / "labels" / f"{case.id}_seg.nii.gz")
        cafrnet.evaluate(data, folder / "labels", folder, split=split, fold=fold, slices=False)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
