"""Zips that must not be trusted."""

import stat
import zipfile

import pytest

from cafrnet.datasets import archive
from cafrnet.datasets.archive import extract
from cafrnet.errors import InputError


@pytest.fixture
def packed(tmp_path):
    """A function that makes a zip of {name: content}."""

    def make(members, name="train.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for member, content in members.items():
                target.writestr(member, content)
        return path

    return make


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_members_come_out_and_system_files_do_not(packed, folder):
    zip_file = packed({"train/MR/a": b"1", "__MACOSX/._a": b"2", "train/.DS_Store": b"3", "train/b/": b""})
    assert extract(zip_file, folder) == [folder / "train/MR/a"]
    assert files(folder) == ["train/MR/a"]
    assert (folder / "train/MR/a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("name", "members", "expected", "where"),
    [
        ("train.zip", {"train/MR/a": b""}, ("train",), "train/MR/a"),
        ("other.zip", {"MR/a": b""}, ("train",), "train/MR/a"),
        ("masks.zip", {"1_t1.mha": b""}, ("images", "masks"), "masks/1_t1.mha"),
        ("x.zip", {"masks/1_t1.mha": b""}, ("images", "masks"), "masks/1_t1.mha"),
    ],
)
def test_an_archive_without_its_folder_gets_one(packed, folder, name, members, expected, where):
    extract(packed(members, name), folder, expected)
    assert files(folder) == [where]


def test_an_archive_that_fits_no_folder_is_refused(packed, folder):
    with pytest.raises(InputError, match=r"1_t1\.mha at its top; images or masks"):
        extract(packed({"1_t1.mha": b""}, "x.zip"), folder, ("images", "masks"))


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:evil", "C:/evil"])
def test_names_that_leave_the_folder(packed, folder, name):
    with pytest.raises(InputError, match="nothing was extracted"):
        extract(packed({"good": b"1", name: b"2"}), folder)
    assert files(folder.parent) == ["train.zip"]


def test_links_are_refused(packed, folder):
    link = zipfile.ZipInfo("train/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(InputError, match="link"):
        extract(packed({"a": b"", link: b"/etc/passwd"}), folder)
    assert files(folder) == []


def test_names_that_differ_in_case_only_are_refused(packed, folder):
    with pytest.raises(InputError, match="comes twice"):
        extract(packed({"a/B": b"1", "A/b": b"2"}), folder)


def test_limits(packed, folder, monkeypatch):
    zip_file = packed({"a": bytes(2**25)})
    with pytest.raises(InputError, match="grows from"):
        extract(zip_file, folder)
    with pytest.raises(InputError, match="at most 10 are accepted"):
        extract(packed({"a": b"x" * 11}), folder, most_bytes=10)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 1)
    with pytest.raises(InputError, match="holds 2 files"):
        extract(packed({"a": b"", "b": b""}), folder)
    assert files(folder) == []


def test_encrypted_members_are_refused(packed, folder):
    zip_file = packed({"a": b"secret"})
    raw = bytearray(zip_file.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    zip_file.write_bytes(raw)
    with pytest.raises(InputError, match="encrypted"):
        extract(zip_file, folder)


def test_a_damaged_member_is_found_by_its_sum(tmp_path, folder):
    zip_file = tmp_path / "a.zip"
    with zipfile.ZipFile(zip_file, "w") as target:
        target.writestr("a", b"0123456789")
    zip_file.write_bytes(zip_file.read_bytes().replace(b"0123456789", b"012345678X", 1))
    with pytest.raises(InputError, match="CRC"):
        extract(zip_file, folder)


def test_a_size_that_lies_does_not_fill_the_disk(packed, folder):
    """The directory states 10 bytes for a member of a million: no more than 10 are written."""
    zip_file = packed({"a": b"ab" * 500_000})
    raw = zip_file.read_bytes()
    zip_file.write_bytes(raw.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(InputError):
        extract(zip_file, folder)
    assert sum(p.stat().st_size for p in folder.rglob("*")) <= 10


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"])
def test_what_is_no_zip(tmp_path, folder, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="not a whole zip"):
        extract(tmp_path / "a.zip", folder)
    with pytest.raises(InputError, match="no such file"):
        extract(tmp_path / "none.zip", folder)


def test_an_empty_archive(packed, folder):
    with pytest.raises(InputError, match="no files"):
        extract(packed({}), folder)
