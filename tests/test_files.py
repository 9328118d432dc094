"""Files are whole or absent, and stems are what people expect."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from cafrnet.errors import InputError
from cafrnet.files import sha256, stem, sweep, whole_file, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def write_half(path: Path, error: BaseException) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scan.nii.gz", "scan"),
        ("SCAN.NII.GZ", "SCAN"),
        ("scan.nii", "scan"),
        ("a.b.mha", "a.b"),
        ("x.seg.nrrd", "x"),
        ("sub-01_T2w.nii.gz", "sub-01_T2w"),
        ("/some/where/Case 7.png", "Case 7"),
        ("Wirbelsäule.nii.gz", "Wirbelsäule"),
        ("plain", "plain"),
        ("1.2.840.113619.2", "1.2.840.113619.2"),
        ("archive.tar.gz", "archive.tar"),
    ],
)
def test_stem_of_a_file(name, expected):
    assert stem(name) == expected
    assert stem(Path(name)) == expected


def test_stem_of_a_folder(tmp_path, monkeypatch):
    (tmp_path / "patient.v1/inner").mkdir(parents=True)
    assert stem(tmp_path / "patient.v1") == "patient.v1"
    monkeypatch.chdir(tmp_path / "patient.v1/inner")
    assert (stem("."), stem(".."), stem("../inner/")) == ("inner", "patient.v1", "inner")


def test_a_file_appears_whole_with_its_folder(tmp_path):
    target = tmp_path / "new/deep/a.txt"
    with whole_file(target) as temporary:
        temporary.write_text("first half")
        assert not target.exists()
        assert temporary.suffix == ".txt"
        assert temporary.name.startswith(".")
    assert target.read_text() == "first half"
    assert names(target.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), InputError("no")])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(type(error)):
        write_half(tmp_path / "a.txt", error)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"a\.txt could not be written: No space left on device"):
        write_half(tmp_path / "a.txt", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert names(tmp_path) == []


def test_places_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"could not be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file/a.txt", "x")
    with pytest.raises(InputError, match="could not be written: Is a directory"):
        write_text(tmp_path / "folder", "x")
    with pytest.raises(InputError, match="could not be written: File name too long"):
        write_text(tmp_path / ("n" * 300), "x")
    assert names(tmp_path) == ["file", "folder"]


def test_json_is_indented_utf8_and_refuses_what_json_has_no_word_for(tmp_path):
    write_json(tmp_path / "a.json", {"näme": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"näme": [1, 2.5, None]}
    assert (tmp_path / "a.json").read_text().endswith("}\n")
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Out of range"):
            write_json(tmp_path / "b.json", [value])
    assert names(tmp_path) == ["a.json"]


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    big = os.urandom(3_000_001)
    (tmp_path / "big").write_bytes(big)
    assert sha256(tmp_path / "big") == hashlib.sha256(big).hexdigest()


def test_sweep_removes_what_dead_processes_left_of_these_files(tmp_path):
    targets = [tmp_path / "a.json", tmp_path / "sub/b.json"]
    (tmp_path / "sub").mkdir()
    dead = [tmp_path / ".999999999-a.json", tmp_path / "sub/.999999999-b.json"]
    mine = tmp_path / f".{os.getpid()}-a.json"
    old = tmp_path / f".{os.getppid()}-a.json"
    others = [tmp_path / name for name in (".999999999-c.json", ".x-a.json", ".hidden", "999999999-a.json")]
    for path in (*dead, mine, old, *others):
        path.write_text("half")
    os.utime(old, (0, 0))  # so long ago that its number is another process's by now
    assert sweep(targets) == 3
    assert [p.exists() for p in (*dead, old)] == [False] * 3
    assert mine.exists()
    assert all(path.exists() for path in others)
    assert sweep([tmp_path / "gone/a.json"]) == 0
