"""Where bundles live, and what a word on the command line finds."""

import sys
from pathlib import Path

import pytest

from cafrnet.bundles import default_folder, find, installed
from cafrnet.bundles import places as homes
from cafrnet.errors import UsageError
from handmade_bundle import copied


@pytest.fixture
def added(home, grey_bundle):
    for name in ("lumbar-a", "lumbar-b"):
        copied(grey_bundle, home / "bundles" / name)
    (home / "bundles" / ".adding-x").mkdir()
    (home / "bundles" / "notes").mkdir()
    return home / "bundles"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"CAFRNET_HOME": "/here"}, "/here"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/cafrnet"),
        ("linux", {}, "~/.local/share/cafrnet"),
        ("darwin", {}, "~/Library/Application Support/cafrnet"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/cafrnet"),
    ],
)
def test_the_platform_s_usual_place(monkeypatch, platform, variables, expected):
    for name in ("CAFRNET_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert homes.home() == Path(expected).expanduser()


def test_nothing_yet(home):
    assert installed() == {}
    assert default_folder() is None
    for word in (None, "default"):
        with pytest.raises(UsageError, match="no trained model ships with this version"):
            find(word)
    with pytest.raises(UsageError, match="'mine' is no folder, and no bundle was added yet"):
        find("mine")


def test_names_folders_and_what_goes_first(added, tmp_path, monkeypatch):
    assert list(installed()) == ["lumbar-a", "lumbar-b"]
    assert find("lumbar-a") == added / "lumbar-a"
    assert find(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lumbar-a").mkdir()
    assert find("lumbar-a") == Path("lumbar-a")  # a folder goes before a bundle's name


def test_the_nearest_name(added):
    with pytest.raises(UsageError, match="'lumbar' is no folder and no bundle; did you mean 'lumbar-"):
        find("lumbar")


def test_a_path_is_not_taken_for_a_name(added, tmp_path):
    with pytest.raises(UsageError, match="gone does not exist"):
        find(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is not a folder"):
        find(tmp_path / "file")


def test_the_default_bundle(home, grey_bundle, monkeypatch):
    monkeypatch.setattr(homes, "DEFAULT", grey_bundle)
    assert find(None) == find("default") == find("grey") == grey_bundle  # the last is on its card
    assert list(installed()) == ["default"]
