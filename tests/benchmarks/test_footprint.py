"""Sizes as pip lists them, what is left out, wheels that are not installed, and the limit."""

import subprocess
import sys
import zipfile

import footprint
import pytest


def test_what_is_left_out_is_named_with_its_version():
    report = {"install": [{"metadata": {"name": n, "version": v}} for n, v in (("Timm", "1"), ("six", "2"))]}
    assert footprint.sort_out(report, ["timm", "torchvision"]) == (["six==2"], ["Timm==1"])


@pytest.mark.skipif(sys.platform == "win32", reason="folders of a venv")
def test_sizes_are_those_of_the_listed_files_without_the_installers(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    for name, size in (("small", 10), ("large", 5000), ("pip", 10**6)):
        about = site / f"{name}-1.5.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (site / f"{name}.py").write_bytes(b"#" * size)
        # a file that is listed twice counts once, one that is not there not at all
        (about / "RECORD").write_text(f"{name}.py,,\n{name}.py,,\ngone.py,,\n")
    (site / "of_nobody.py").write_bytes(b"#" * 777)
    found = footprint.sizes(tmp_path / "env/bin/python")
    assert list(found.items()) == [
        ("large", {"version": "1.5", "bytes": 5000}),
        ("small", {"version": "1.5", "bytes": 10}),
    ]


def test_wheels_are_counted_packed_and_unpacked(tmp_path):
    for name in ("a-1.0-py3-none-any.whl", "b_c-2.0-py3-none-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x", b"0" * 10000)
    found = footprint.wheels(tmp_path)
    assert found["wheels"] == ["a-1.0", "b_c-2.0"]
    assert found["unpacked_bytes"] == 20000
    assert 0 < found["packed_bytes"] < 2000
    with pytest.raises(SystemExit, match="no wheel in the folder"):
        footprint.wheels(tmp_path / "none")


def test_more_modules_are_loaded_by_an_import_than_by_none():
    assert footprint.modules(sys.executable, "xml.dom.minidom") > footprint.modules(sys.executable, "sys")


def one(label, mb):
    timed = {"median_ms": 500.0, "spread_ms": 10.0, "minimum_ms": 400.0}
    return {
        "label": label, "mb": mb, "packages": {"torch": {"version": "1", "bytes": 7e8}}, "left_out": [],
        "imported": "x.y", "modules": 5, "help": None, "nothing_seconds": timed, "import_seconds": timed,
    }  # fmt: skip


def test_the_report_gives_ratios_and_judges_the_limit():
    plain = {"wheels": ["torch-2"], "packed_bytes": 2e9, "unpacked_bytes": 5e9}
    text = footprint.report({"cafrnet": one("ours", 400.0), "other": one("theirs", 800.0)}, plain)
    assert "| theirs | 800 | 2.0 | 1 | torch 700 | 0.50 +- 0.01 | 5 | - | - |" in text
    assert "400 MB: holds (400.0 MB)" in text
    assert "1 wheels, 2000 MB to download, 5000 MB unpacked" in text
    assert "400 MB: broken" in footprint.report({"cafrnet": one("ours", 400.1)}, None)


def test_the_checkout_is_copied_without_what_lies_beside_the_code(tmp_path):
    tree = footprint.checkout(tmp_path)
    assert (tree / "src/cafrnet/labels/table.yaml").is_file()
    assert not list(tree.rglob("__pycache__"))
    assert not list(tree.rglob("*.egg-info"))
