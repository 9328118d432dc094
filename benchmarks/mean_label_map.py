"""The least a model must beat: the mean label map of the training cases, which never looks at the scan.

    python benchmarks/mean_label_map.py DATA split.json OUT
    cafrnet evaluate DATA OUT --split split.json

On the model grid of 1.17 mm, every slice of the training cases votes for the class of each pixel; the class
with the most votes is written for every slice of the test cases, on their own grids.
"""

import sys
from pathlib import Path

import numpy as np

from cafrnet.datasets import Split, open_dataset
from cafrnet.inference.assemble import native_labels
from cafrnet.labels import TABLE
from cafrnet.preprocessing import ModelGrid, Preprocessing, prepare_truth
from cafrnet.scan import Scan, write_labels

SETTINGS = Preprocessing(contrast="none")


def grid_of(scan: Scan) -> ModelGrid:
    sagittal = scan.frame.to_sagittal(scan.voxels)
    return ModelGrid.around(sagittal, scan.frame.spacing_mm[1:], SETTINGS.pixel_mm, SETTINGS.size)


def main(data: str, split: str, out: str) -> None:
    dataset = open_dataset(data)
    parts = Split.load(split, dataset).parts()
    votes = np.zeros((len(TABLE), SETTINGS.size, SETTINGS.size), np.float32)
    for case in dataset.select(parts["train"]):
        scan = case.read()
        truth = case.sets.principal(case.read_truth(scan))
        on_grid = prepare_truth(truth, scan, grid_of(scan))
        for label in TABLE:
            votes[label.id] += (on_grid == label.id).mean(axis=0)
    for case in dataset.select(parts["test"]):
        scan = case.read()
        grid = grid_of(scan)
        one = native_labels(votes, grid)
        labels = scan.frame.to_array(np.repeat(one[None], grid.native_shape[0], axis=0))
        write_labels(labels, scan, Path(out) / f"{case.id}_seg.nii.gz")
        print(case.id)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
