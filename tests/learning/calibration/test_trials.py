"""A wrong name is another name of the same kind; a bad outline is none."""

import numpy as np
import pytest

from cafrnet.learning.calibration.trials import _misnamed


def counts(**cover: int) -> np.ndarray:
    """L1/L2 (15) of 100 voxels, covered by other ids as told: ``i15=60``."""
    table = np.zeros((256, 256), int)
    for name, voxels in cover.items():
        table[15, int(name[1:])] = voxels
    table[15, 0] = 100 - sum(cover.values())
    return table


@pytest.mark.parametrize(
    ("cover", "wrong"),
    [
        ({"i15": 100}, False),
        ({"i15": 40, "i6": 60}, False),  # its vertebra L1 grew over it
        ({"i15": 40, "i16": 60}, True),  # the disc above
        ({"i15": 45, "i14": 40}, False),  # more of it has its own name
        ({"i16": 20}, False),  # hardly found at all
        ({"i16": 30}, True),
        ({}, False),
    ],
)
def test_misnamed(cover, wrong):
    assert _misnamed(15, counts(**cover)) == wrong
