"""The words for what went wrong with a case."""

from pathlib import Path

from cafrnet.inference.bulk.outcomes import failure
from cafrnet.inference.inputs import Job

JOB = Job(Path("a.nii.gz"), Path("a_seg.nii.gz"), Path("a_preview.png"), Path("a.json"))


def test_a_file_that_may_not_be_opened_is_nothing_unexpected():
    said = failure(JOB, PermissionError(13, "Permission denied", "a.nii.gz")).message
    assert said == "a.nii.gz may not be opened; change its permissions"


def test_what_nobody_foresaw_keeps_its_kind():
    assert failure(JOB, KeyError("x")).message == "a.nii.gz: unexpected KeyError: 'x'"
