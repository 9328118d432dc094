"""Score one label map against its truth, both as arrays, without any file.

    python examples/evaluate_arrays.py

The truth is a phantom. The prediction is the truth with four faults put in on purpose, so that the table
shows what each of them does to the scores. Needs the runtime only.
"""

import numpy as np

import cafrnet
from cafrnet.labels import TABLE
from cafrnet.phantom import PhantomOptions, make_phantom

options = PhantomOptions(matrix=(160, 224), pixel_mm=1.17, slices=7, contrast="t2", fov=("S", "T11"))
phantom = make_phantom(3, options)
truth = phantom.labels  # axes: antero-posterior, cranio-caudal (index grows upwards), left-right

ids = {name: TABLE[name].id for name in ("L4", "L3/L4", "L2", "L1")}
pred = truth.copy()
body = truth == ids["L4"]
pred[body] = 0
pred[np.roll(body, 2, axis=0)] = ids["L4"]  # L4 lies two voxels too far back
pred[truth == ids["L3/L4"]] = 0  # this disc is missed
pred[truth == ids["L2"]] = ids["L1"]  # L2 is taken for L1: a merge
pred[:3, :3, :2] = TABLE["T9"].id  # and something is found in the air, above the labelled range

scores = cafrnet.evaluate_arrays(truth, pred, phantom.scan.spacing_mm, sagittal_axis=2)


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


print(f"{'structure':<20}{'status':<10}{'level':<9}{'DSC':>6}{'HD95 mm':>9}{'NSD 2 mm':>10}")
for row in scores.rows:
    numbers = f"{shown(row.dsc, 3):>6}{shown(row.hd95_mm, 2):>9}{shown(row.nsd_2mm, 3):>10}"
    print(f"{row.name:<20}{row.status:<10}{row.level or '-':<9}{numbers}")
dsc, hd95_mm = scores.mean("dsc"), scores.mean("hd95_mm")
print(f"case score over ids 1-19: DSC {dsc:.3f}, HD95 {hd95_mm:.2f} mm over what was found")
