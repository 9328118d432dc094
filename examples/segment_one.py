"""Segment one scan from Python: read, find, say what was found, save.

    python examples/segment_one.py scan.nii.gz -o scan_seg.nii.gz

``scan`` is NIfTI, a DICOM folder, or (extra ``itk``) MHA or NRRD. ``--model`` is a folder that
``cafrnet train`` wrote, or a bundle; without it the model that ships is used.
Needs the runtime only, no torch.
"""

import argparse

import numpy as np

import cafrnet

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("scan")
parser.add_argument("--model", help="run or bundle; default: the model that ships")
parser.add_argument("-o", "--output", required=True)
args = parser.parse_args()

model = cafrnet.load_model(args.model)  # once, for any number of scans
scan = cafrnet.read_scan(args.scan)
found = cafrnet.segment(scan, model=model)

print(f"{args.scan}: {scan.voxels.shape} voxels of {' x '.join(f'{s:.2f}' for s in scan.spacing_mm)} mm")
voxel_ml = np.prod(scan.spacing_mm) / 1000
for label, name in found.names.items():
    print(f"{name:<20}{(found.labels == label).sum() * voxel_ml:8.2f} ml")
print(f"{sum(found.timings_s.values()):.2f} s")
print(f"this model can't predict: {', '.join(model.not_trained) or 'nothing, it knows all its classes'}")

found.save(args.output)  # the scan's own shape, affine and codes
print(args.output)
