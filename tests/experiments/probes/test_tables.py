"""Reading tables: numbers, nothing, and what is missing."""

import pytest

from cafrnet.errors import InputError
from cafrnet.experiments.probes.tables import read_csv


def test_an_empty_cell_is_none_and_text_stays(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("case,dsc,reason\nCase1,0.5,\nCase2,,missed\n")
    assert read_csv(path, ("case", "dsc")) == [
        {"case": "Case1", "dsc": 0.5, "reason": None},
        {"case": "Case2", "dsc": None, "reason": "missed"},
    ]


def test_a_missing_file_or_column_is_named(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        read_csv(tmp_path / "none.csv", ())
    path = tmp_path / "t.csv"
    path.write_text("case\nCase1\n")
    with pytest.raises(InputError, match="has the columns case; dsc were expected"):
        read_csv(path, ("case", "dsc"))
