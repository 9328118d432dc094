"""A copy of a dataset in which the sacrum that a model draws stands for the one that nobody marked.

    cafrnet segment DATA/train/MR -o DRAWN
    python benchmarks/drawn_sacrum.py DATA DRAWN -o COPY [--slices 5]

On the middle slices of each case, what is drawn becomes the sacrum where it lies 0.7 mm or more inside its
outline, and a ring from 1 to 15 mm outside of it "certainly not the sacrum"; only pixels that the truth calls
0 are changed. All others stay "background or sacrum", as in other slices. The images are linked, not copied.

The model should not know the cases that will judge what learns from this: nothing here can tell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from scipy.ndimage import distance_transform_edt

from cafrnet.datasets import open_dataset
from cafrnet.files import whole_file, write_text
from cafrnet.labels import TABLE
from cafrnet.scan import read_labels

SACRUM = TABLE["S"].id
#: The value that says "certainly not the sacrum".
NOT_IT = 30
#: Distances from the outline, mm: of the sacrum inwards, and of the ring outwards.
INSIDE_MM, RING_MM = 0.7, (1.0, 15.0)
#: A slice with less drawn than this says nothing, mm2.
LEAST_MM2 = 90.0


def mark(truth: np.ndarray, drawn: np.ndarray, pixel_mm: tuple[float, ...], slices: int) -> int:
    """Put the sacrum into a truth [AP, SI, LR], in place; return in how many slices."""
    done, middle = 0, truth.shape[2] // 2
    for k in range(max(0, middle - slices // 2), min(truth.shape[2], middle + slices // 2 + 1)):
        sacrum = drawn[:, :, k] == SACRUM
        if sacrum.sum() * pixel_mm[0] * pixel_mm[1] < LEAST_MM2:
            continue
        inside, outside = (distance_transform_edt(a, pixel_mm[:2]) for a in (sacrum, ~sacrum))
        free = truth[:, :, k] == 0
        truth[:, :, k][free & (outside > RING_MM[0]) & (outside < RING_MM[1])] = NOT_IT
        truth[:, :, k][free & (inside > INSIDE_MM)] = SACRUM
        done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="in the layout train/MR, train/Mask")
    parser.add_argument("drawn", type=Path, help="label maps of its scans, as `segment` leaves them")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=5, help="middle slices that are marked")
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    for case in dataset.cases:
        image = nib.load(case.labels)
        truth = np.asarray(image.dataobj).copy()
        drawn, _ = read_labels(args.drawn / f"{case.id}_seg.nii.gz")
        done = mark(truth, drawn, image.header.get_zooms(), args.slices)
        target = args.output / "train" / "Mask" / Path(case.labels).name
        with whole_file(target) as temporary:
            nib.save(nib.Nifti1Image(truth, image.affine, image.header), temporary)
        print(f"{case.id}: {done} slices, {int((truth == SACRUM).sum())} voxels of sacrum", flush=True)
    images = args.output / "train" / "MR"
    if not images.exists():
        images.symlink_to((args.data / "train" / "MR").resolve())
    about = yaml.safe_load((args.data / "dataset.yaml").read_text(encoding="utf-8"))
    about["values"] = {**(about.get("values") or {}), 0: [0, SACRUM], SACRUM: [SACRUM], NOT_IT: [0]}
    about["name"] += "-drawn-sacrum"
    write_text(args.output / "dataset.yaml", yaml.safe_dump(about, sort_keys=False))


if __name__ == "__main__":
    main()
