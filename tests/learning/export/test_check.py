"""The rules by which an export is refused, on numbers set by hand."""

import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.learning.export.check import Comparison, _conclude, _Tally, judge

GOOD = Comparison(4, {"L5": 0.999, "L4": 0.995}, 0.8, 0.8, varied=True)


def changed(**values):
    return Comparison(**{**vars(GOOD), **values})


def test_what_agrees_passes():
    for precision in ("fp32", "fp16", "int8"):
        judge(precision, {"phantoms": GOOD, "fixtures": GOOD})
    judge("int8", {"phantoms": changed(dice={"L5": 0.9}, export_dice=0.79801)})  # 0.199 points


def test_one_class_below_the_limit_on_one_set_is_enough():
    bad = changed(dice={"L5": 0.999, "L4": 0.9949})
    for precision in ("fp32", "fp16"):
        with pytest.raises(InputError, match=r"Dice L4 0\.9949 on fixtures; at least 0\.995"):
            judge(precision, {"phantoms": GOOD, "fixtures": bad})
    with pytest.raises(InputError, match="L4 nan"):
        judge("fp32", {"phantoms": changed(dice={"L4": float("nan")})})


def test_int8_loses_at_most_0_2_points_where_the_source_knows_the_scans():
    bad = changed(export_dice=0.7979)  # 0.21 points
    with pytest.raises(InputError, match=r"int8 loses 0\.21 points on fixtures of Dice"):
        judge("int8", {"phantoms": GOOD, "fixtures": bad})
    unknown = changed(source_dice=0.3, export_dice=0.1)
    judge("int8", {"phantoms": unknown, "fixtures": GOOD})
    with pytest.raises(InputError, match=r"own Dice is 30\.0 % on phantoms: too low"):
        judge("int8", {"phantoms": unknown})


def test_nothing_to_compare_is_no_agreement():
    for empty in (changed(dice={}), changed(varied=False)):
        for precision in ("fp32", "fp16", "int8"):
            with pytest.raises(InputError, match="nothing shows that an export agrees"):
                judge(precision, {"phantoms": empty})
        judge("fp32", {"phantoms": empty, "fixtures": GOOD})


def test_only_structures_of_more_than_50_voxels_count():
    tally = _Tally(scans=1)
    tally.ours[[0, 2, 3]] = 1000, 51, 50
    tally.theirs[[0, 2, 3]] = 1000, 49, 52
    tally.both[[0, 2, 3]] = 998, 48, 1
    found = _conclude(tally)
    assert found.dice == {"L5": pytest.approx(2 * 48 / 100)}
    assert (found.source_dice, found.varied) == (None, True)


def test_one_structure_everywhere_is_not_varied():
    tally = _Tally(ours=np.eye(22, dtype=np.int64)[3] * 10_000)
    assert not _conclude(tally).varied
