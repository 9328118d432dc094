"""The bundle that ships, on real scans with something wrong with them: none of them passes."""

import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.inference import load_model, segment_scan
from cafrnet.phantom.strange import STRANGE, strange_scan

#: With a good view of the whole lumbar spine.
CASES = ("Case45", "Case107")

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def shipped():
    try:
        found = load_model(threads=2)
    except UsageError as error:
        pytest.skip(str(error))
    if found.calibration is None:
        pytest.fail("the bundle that ships was never calibrated: nothing can pass")
    return found


@pytest.fixture(scope="module")
def bases(real_data):
    cases = open_dataset(real_data).select(list(CASES))
    return [(scan := case.read(), case.sets.principal(case.read_truth(scan))) for case in cases]


def test_the_scans_as_they_are_pass(shipped, bases):
    for scan, _ in bases:
        said = segment_scan(scan, shipped).triage
        assert said.verdict == "pass", said.reasons


@pytest.mark.parametrize("kind", [k for k, s in STRANGE.items() if not s.may_pass])
def test_no_strange_scan_passes(shipped, bases, kind):
    for base in bases[: 2 if STRANGE[kind].uses_base else 1]:
        said = segment_scan(strange_scan(kind, 1, base), shipped).triage
        assert said.verdict != "pass"
        assert said.reasons
