"""What a wheel and a source archive hold: the default bundle with all of its files, and no stray data."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cafrnet.bundles.layout import FILES, SUMS
from cafrnet.bundles.places import DEFAULT
from handmade_bundle import write_grey_bundle

ROOT = Path(__file__).parents[1]
#: Asks the build backend itself, so that nothing is fetched.
BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # the backend writes its own words there
build_meta.build_wheel(out)
build_meta.build_sdist(out)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names of all files in wheel and sdist of this tree, with a small bundle as the default one."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(
        ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "default")
    )
    write_grey_bundle(tree / "src/cafrnet/bundles/default")
    out = tree / "dist"
    out.mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=tree, capture_output=True, text=True)
    if "No module named 'setuptools'" in done.stderr:
        pytest.skip("setuptools is not installed")
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = ["/".join(m.name.split("/")[1:]) for m in archive.getmembers()]
    return set(zipfile.ZipFile(wheel).namelist()), set(names)


@pytest.mark.slow
def test_the_default_bundle_is_in_wheel_and_sdist(built):
    wheel, sdist = built
    for name in (*FILES, SUMS):
        assert f"cafrnet/bundles/default/{name}" in wheel
        assert f"src/cafrnet/bundles/default/{name}" in sdist


@pytest.mark.slow
def test_all_modules_and_data_files_are_in_the_wheel(built):
    source = ROOT / "src/cafrnet"
    files = [
        p
        for p in source.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and DEFAULT not in p.parents
    ]
    assert not [p for p in files if f"cafrnet/{p.relative_to(source).as_posix()}" not in built[0]]


def test_the_default_bundle_that_ships_is_whole_and_small():
    if not DEFAULT.is_dir():
        pytest.skip("no default bundle ships yet")
    from cafrnet.bundles import problems
    from cafrnet.inference import load_model

    assert problems(DEFAULT) == []
    assert load_model().bundle.path == DEFAULT
    assert sum(p.stat().st_size for p in DEFAULT.iterdir()) <= 40_000_000
    tracked = subprocess.run(["git", "ls-files", str(DEFAULT)], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0:
        assert len(tracked.stdout.split()) == 5
