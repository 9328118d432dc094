"""``cafrnet relabel`` from outside: files, records, pictures, numbers below zero, exit codes."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cafrnet.cli.main import main
from cafrnet.files import sha256
from cafrnet.inference.record import is_output, read_record
from cafrnet.inference.relabel import LEVEL_KEYS
from cafrnet.labels import TABLE
from cafrnet.scan import read_labels, read_scan, write_labels
from handmade import moved, save_segments, stairs, write_stairs


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function: words -> (exit code, lines on stdout, lines on stderr)."""

    def call(*words, out=tmp_path / "out"):
        try:
            code = main(["relabel", *map(str, words), "-o", str(out)])
        except SystemExit as stop:
            code = stop.code
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err.splitlines()

    return call


def write_seg(path, labels=None, affine=None, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    _, own, at = stairs()
    nib.save(
        nib.Nifti1Image((own if labels is None else labels).astype(dtype), at if affine is None else affine),
        path,
    )
    return path


def ids(path):
    return np.asarray(nib.load(path).dataobj)


def inside(name, affine=None):
    """Return world mm of the voxel in the middle of a structure of the stairs."""
    labels = stairs()[1]
    at = np.argwhere(labels == TABLE[name].id)
    middle = at[len(at) // 2]
    return middle, (stairs()[2] @ [*middle, 1])[:3]


def point(values):
    return ",".join(f"{v:g}" for v in values)


@pytest.mark.parametrize("shift", [["--shift", "-1"], ["--shift=-1"], ["--shift", "+1"], ["--shift=+1"]])
def test_shift_on_the_command_line(run, tmp_path, shift):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    code, printed, said = run(seg, *shift)
    assert (code, printed) == (0, [str(tmp_path / "out/a_seg.nii.gz")])
    before, after = ids(seg), ids(tmp_path / "out/a_seg.nii.gz")
    step = int(shift[-1].removeprefix("--shift="))
    for word, becomes in (("L4", "L3"), ("L4/L5", "L3/L4")) if step > 0 else (("L4", "L5"), ("L3", "L4")):
        assert (after[before == TABLE[word].id] == TABLE[becomes].id).all()
    for word in ("background", "S", "spinal canal", "posterior elements"):
        np.testing.assert_array_equal(before == TABLE[word].id, after == TABLE[word].id)
    assert said[0].startswith(f"[1/1] done: {printed[0]}, shifted by {step:+d}")
    if step < 0:
        assert (after[before == 2] == 255).all()
        assert "now 255: L5, L5/S" in said[0]
    else:
        assert "look: L5/S, L5 missing between S and L4/L5" in said[0]


@pytest.mark.parametrize("form", ["--anchor={}", "--anchor {}"])
def test_an_anchor_with_negative_coordinates(run, tmp_path, form):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    _, mm = inside("L4")
    assert (mm < 0).any()
    code, _, said = run(seg, *form.format(f"L5={point(mm)}").split(" "))
    assert code == 0
    assert "shifted by -1; now 255: L5, L5/S" in said[0]
    assert read_labels(tmp_path / "out/a_seg.nii.gz")[0][tuple(inside("L4")[0])] == TABLE["L5"].id


def test_an_anchor_by_voxel_and_several_that_agree(run, tmp_path):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    code, _, said = run(
        seg,
        "--voxel",
        "--anchor",
        f"L3={point(inside('L4')[0])}",
        "--anchor",
        f"L1/L2={point(inside('L2/L3')[0])}",
    )
    assert code == 0
    assert "shifted by +1" in said[0]


def test_anchors_that_disagree(run, tmp_path):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    words = [f"--anchor={name}={point(inside(found)[1])}" for name, found in (("L3", "L4"), ("L2", "L4"))]
    code, printed, said = run(seg, *words)
    assert (code, printed) == (1, [])
    assert "the anchors disagree: L3 asks for +1, L2 asks for +2" in said[0]


def test_a_name_that_is_right_already(run, tmp_path):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    code, printed, said = run(seg, f"--anchor=L4={point(inside('L4')[1])}")
    assert (code, said) == (0, [f"[1/1] done: {printed[0]}, no change"])
    np.testing.assert_array_equal(ids(seg), ids(printed[0]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of the arguments --shift --anchor is required"),
        (["--shift", "1", "--anchor", "L5=1,2,3"], "not allowed with"),
        (["--shift", "1.5"], "invalid int value"),
        (["--shift", "9"], "a whole number from -8 to 8"),
        (["--shift", "1", "--voxel"], "--voxel came without --anchor"),
        (["--shift", "1", "--labels", "tpt"], "no label scheme"),
        (["--anchor", "L5"], "NAME=X,Y,Z was expected"),
        (["--anchor", "L5=1,2"], "NAME=X,Y,Z was expected"),
        (["--anchor", "=1,2,3"], "NAME=X,Y,Z was expected"),
        (["--anchor", "L5=1,2,nan"], "NAME=X,Y,Z was expected"),
        (["--anchor", "L6=1,2,3"], "no vertebra or disc is called 'L6'"),
        (["--anchor", "S=1,2,3"], "S never moves"),
        (["--voxel", "--anchor", "L5=1,2,0.5"], "three whole numbers were expected"),
    ],
)
def test_wrong_use_exits_with_2_and_writes_nothing(run, tmp_path, words, message):
    seg = write_seg(tmp_path / "a_seg.nii.gz")
    code, printed, said = run(seg, *words)
    assert (code, printed) == (2, [])
    assert message in said[-1]
    assert not (tmp_path / "out").exists()


def test_wrong_places(run, tmp_path):
    for folder in "ab":
        write_seg(tmp_path / folder / "x_seg.nii.gz")
    a, b = tmp_path / "a/x_seg.nii.gz", tmp_path / "b/x_seg.nii.gz"
    for words, out, message in (
        ([a, b], tmp_path / "out", "would get the same output name"),
        ([a, b], tmp_path / "y.nii.gz", "one output name"),
        ([a], tmp_path / "y.mha", "a name that ends in .nii.gz"),
        ([a], tmp_path / "y.txt", "a name that ends in .nii.gz"),
        ([a], tmp_path / "y.png", "only the labels of a PNG"),
        ([tmp_path / "a"], tmp_path / "out", "is a folder; name its label maps"),
        ([tmp_path / "*.mha"], tmp_path / "out", "matches nothing"),
        ([write_seg(tmp_path / "c/z.nii.gz"), a], tmp_path / "a", None),
    ):
        code, _, said = run(*words, "--shift", "1", out=out)
        if message:
            assert code == 2
            assert message in said[-1]
        else:  # a's own name in its own folder: that one fails, the other is done
            assert code == 1
            assert "the label map itself would be overwritten" in said[-1]
            assert (tmp_path / "a/z.nii.gz").exists()
    z = write_seg(tmp_path / "d/x_seg.nii.gz")
    code, _, said = run(z, a, "--shift", "1", "--overwrite", out=tmp_path / "a/new.nii.gz")
    assert code == 2
    code, _, said = run(tmp_path / "d/*_seg.nii.gz", "--shift", "1")
    assert code == 0


def test_one_input_is_never_written_over_by_another(run, tmp_path):
    a, b = write_seg(tmp_path / "a/x.mha.nii.gz"), write_seg(tmp_path / "b/y_seg.nii.gz")
    other = write_seg(tmp_path / "a/y_seg.nii.gz")
    before = sha256(other)
    code, _, said = run(a, b, other, "--shift", "1", "--overwrite", out=tmp_path / "a")
    assert code == 2
    assert "same output name" in said[-1]
    code, _, said = run(b, "--shift", "1", out=tmp_path / "a")
    assert code == 1
    assert sha256(other) == before


def test_the_geometry_is_the_inputs_own(run, tmp_path):
    _, labels, affine = stairs()
    turned = affine @ np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    c, s = np.cos(0.3), np.sin(0.3)
    turned = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]) @ turned
    image = nib.Nifti1Image(labels.astype(np.float32)[..., None], turned)
    image.set_qform(turned, 1)
    image.set_sform(turned, 4)
    nib.save(image, tmp_path / "a_seg.nii.gz")
    code, printed, _ = run(tmp_path / "a_seg.nii.gz", "--shift", "1")
    assert code == 0
    found = nib.load(printed[0])
    assert found.shape == (*labels.shape, 1)
    np.testing.assert_array_equal(found.affine, nib.load(tmp_path / "a_seg.nii.gz").affine)
    assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (1, 4)
    assert found.get_data_dtype() == np.uint8
    assert (found.dataobj.slope, found.dataobj.inter) == (1, 0)


def test_another_scheme(run, tmp_path):
    labels = stairs()[1]
    spider = np.zeros_like(labels)
    for own, value in ((2, 1), (3, 102), (12, 202), (20, 100)):
        spider[labels == own] = value
    seg = write_seg(tmp_path / "a_seg.nii.gz", spider)
    code, printed, _ = run(seg, "--shift", "1", "--labels", "spider")
    assert code == 0
    assert sorted(np.unique(ids(printed[0]))) == [0, 2, 100, 103, 203]
    code, _, said = run(seg, "--shift", "1", out=tmp_path / "other")
    assert code == 1
    assert "label scheme does not know" in said[0]


def test_one_bad_never_stops_the_rest(run, tmp_path):
    good = write_seg(tmp_path / "in/a_seg.nii.gz")
    empty = write_seg(tmp_path / "in/b_seg.nii.gz", np.where(stairs()[1] == 20, 20, 0))
    (tmp_path / "in/c_seg.nii.gz").write_text("text")
    scan = write_stairs(tmp_path / "in/d.nii.gz")
    code, printed, said = run(
        *sorted((tmp_path / "in").iterdir()), tmp_path / "no.nii.gz", "--shift", "1", "-q"
    )
    assert (code, printed) == (1, [str(tmp_path / "out" / good.name)])
    assert said[0] == "cafrnet: 4 of 5 label maps failed:"
    assert f"{empty}: there is no vertebra or disc in it" in said[1]
    assert "not a gzip file" in said[2]
    assert str(scan) in said[3]
    assert "no such file" in said[4]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a_seg.nii.gz"]
    code, printed, _ = run(good, empty, "--shift", "1", "--json", "-q", out=tmp_path / "again")
    told = json.loads("\n".join(printed))
    assert (code, told["failed"]) == (1, 1)
    assert [case["status"] for case in told["cases"]] == ["done", "failed"]
    assert (told["cases"][0]["shift"], told["cases"][0]["lost"]) == (1, [])


def test_an_image_is_no_label_map(run, tmp_path):
    image, _, affine = stairs()
    nib.save(nib.Nifti1Image(image + 0.5, affine), tmp_path / "a.nii.gz")
    code, _, said = run(tmp_path / "a.nii.gz", "--shift", "1")
    assert code == 1
    assert "label values must be whole numbers" in said[0]


@pytest.fixture
def segmented(grey_model, tmp_path, capsys):
    """Return the label map that `segment` wrote for a scan, with its record and preview beside it."""
    scan = write_stairs(tmp_path / "scans/a.nii.gz")
    words = [
        "segment",
        str(scan),
        "-o",
        str(tmp_path / "first"),
        "--model",
        str(grey_model),
        "--threads",
        "1",
    ]
    assert main([*words, "-q"]) == 0
    capsys.readouterr()
    return tmp_path / "first/a_seg.nii.gz"


def test_record_and_preview_go_with_the_label_map(run, segmented, tmp_path):
    first = json.loads((tmp_path / "first/a.json").read_text())
    code, _, said = run(segmented, "--shift", "-1")
    assert code == 0
    assert "no preview" not in said[0]
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["a.json", "a_preview.png", "a_seg.nii.gz"]
    record = read_record(out / "a.json")
    (entry,) = record.pop("relabelled")
    assert entry["from"] == {"path": str(segmented), "sha256": sha256(segmented)}
    assert (entry["shift"], entry["anchors"], entry["lost"]) == (-1, [], ["L5", "L5/S"])
    assert first["structures"][:3] == ["S", "L5", "L4"]
    assert record.pop("structures")[:3] == ["S", "L5", "L4"]  # the old L4 and L3
    assert "L1" in first["structures"]
    said_before = set(first) & set(LEVEL_KEYS)
    assert {"levels", "shift_posterior", "flags"} <= said_before
    assert {k: v for k, v in first.items() if k not in {"structures", *said_before}} == record
    assert entry["before"] == {k: first[k] for k in said_before}
    assert is_output(out / "a_preview.png")
    old, new = (np.asarray(Image.open(p)) for p in (tmp_path / "first/a_preview.png", out / "a_preview.png"))
    assert old.shape == new.shape
    assert (old != new).any()


def test_renamed_twice_both_are_in_the_record(run, segmented, tmp_path):
    assert run(segmented, "--shift", "1")[0] == 0
    second = tmp_path / "second/b_seg.nii.gz"
    assert run(tmp_path / "out/a_seg.nii.gz", "--shift", "-1", out=second)[0] == 0
    record = read_record(tmp_path / "second/b.json")
    assert [entry["shift"] for entry in record["relabelled"]] == [1, -1]
    assert record["outputs"] == {"labels": "b_seg.nii.gz", "preview": "b_preview.png"}
    np.testing.assert_array_equal(ids(segmented), ids(second))


def test_what_was_said_about_the_old_levels_is_not_said_about_the_new(run, segmented, tmp_path):
    path = tmp_path / "first/a.json"
    levels = {"levels": {"L5": 0.9}, "shift_posterior": {"0": 0.8}, "triage": "review", "reasons": ["x"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **levels}))
    assert run(segmented, "--shift", "1")[0] == 0
    record = read_record(tmp_path / "out/a.json")
    assert not set(levels) & set(record)
    assert levels.items() <= record["relabelled"][0]["before"].items()


@pytest.mark.parametrize("words", [["--shift", "0"], [f"--anchor=L4={point(inside('L4')[1])}"]])
def test_what_was_said_about_the_levels_stays_where_they_stay(run, segmented, tmp_path, words):
    first = read_record(tmp_path / "first/a.json")
    assert run(segmented, *words)[0] == 0
    record = read_record(tmp_path / "out/a.json")
    (entry,) = record.pop("relabelled")
    assert (entry["shift"], entry["before"]) == (0, {})
    assert record == first
    assert {"triage", "levels", "flags"} <= set(record)


def test_the_record_of_another_map_is_not_taken_for_its_own(run, segmented, tmp_path):
    path, image = tmp_path / "first/a.json", nib.load(segmented)
    shape = list(image.shape)
    record = json.loads(path.read_text())
    assert record["geometry"]["shape"] == shape
    shape[0] += 1
    path.write_text(json.dumps({**record, "geometry": {**record["geometry"], "shape": shape}}))
    code, printed, said = run(segmented, "--shift", "1")
    assert (code, printed) == (1, [])
    assert f"the record beside it is of another map, {' x '.join(map(str, shape))} voxels" in said[0]
    assert not list((tmp_path / "out").glob("*"))
    path.rename(tmp_path / "elsewhere.json")
    assert run(segmented, "--shift", "1")[0] == 0


@pytest.mark.parametrize("part", [{"options": None}, {"input": None}, {"input": {"path": 5}}])
def test_a_damaged_record_is_said_in_one_sentence(run, segmented, tmp_path, part):
    path = tmp_path / "first/a.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **part}))
    code, _, said = run(segmented, "--shift", "1")
    assert code == 1
    assert f"{path}: the record is damaged; move it away" in said[0]


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_without_its_scan_there_is_no_picture_and_that_is_said(run, segmented, tmp_path, how):
    scan = tmp_path / "scans/a.nii.gz"
    if how == "gone":
        scan.unlink()
    else:
        write_stairs(scan, slices=4)
    code, _, said = run(segmented, "--shift", "1")
    assert code == 0
    assert "look: no preview was drawn: " in said[0]
    assert ("is no longer at" if how == "gone" else "is not the scan that was segmented") in said[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a_seg.nii.gz"]
    assert read_record(tmp_path / "out/a.json")["outputs"]["preview"] is None


def test_a_scan_that_was_named_from_another_folder(run, segmented, tmp_path, monkeypatch):
    path = tmp_path / "first/a.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "input": {**record["input"], "path": "scans/a.nii.gz"}}))
    monkeypatch.chdir(tmp_path / "first")
    code, _, said = run(segmented, "--shift", "1")
    assert code == 0
    assert f"no longer at scans/a.nii.gz, as seen from {tmp_path / 'first'}, where relabel runs" in said[0]
    monkeypatch.chdir(tmp_path)
    assert "no preview" not in run(segmented, "--shift", "1", out=tmp_path / "second")[2][0]


def test_the_input_is_overwritten_only_when_asked_and_then_as_a_whole(run, segmented, tmp_path):
    folder = segmented.parent
    before = {p.name: sha256(p) for p in folder.iterdir()}
    code, printed, said = run(segmented, "--shift", "1", out=folder)
    assert (code, printed) == (1, [])
    assert "the label map itself would be overwritten" in said[0]
    assert {p.name: sha256(p) for p in folder.iterdir()} == before
    assert run(segmented, "--shift", "1", "--overwrite", out=folder)[0] == 0
    after = {p.name: sha256(p) for p in folder.iterdir()}
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before)
    record = read_record(folder / "a.json")
    assert record["relabelled"][0]["from"]["sha256"] == before["a_seg.nii.gz"]
    (tmp_path / "scans/a.nii.gz").unlink()
    assert run(segmented, "--shift", "1", "--overwrite", out=folder)[0] == 0
    assert not (folder / "a_preview.png").exists()  # it would show the old names


def test_a_correction_is_not_undone_by_segmenting_again(run, segmented, grey_model, tmp_path, capsys):
    assert run(segmented, "--shift", "1", "--overwrite", out=segmented.parent)[0] == 0
    corrected = sha256(segmented)
    words = [
        "segment",
        str(tmp_path / "scans/a.nii.gz"),
        "-o",
        str(segmented.parent),
        "--model",
        str(grey_model),
    ]
    assert main([*words, "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"][0]["status"] == "skipped"
    assert sha256(segmented) == corrected


def test_the_scan_is_never_overwritten(run, segmented, tmp_path):
    scan = tmp_path / "scans/a.nii.gz"
    before = sha256(scan)
    code, _, said = run(segmented, "--shift", "1", "--overwrite", out=scan)
    assert code == 1
    assert "its scan" in said[0]
    assert sha256(scan) == before


def test_the_record_says_which_scheme_the_values_are_of(run, grey_model, tmp_path, capsys):
    scan = write_stairs(tmp_path / "scans/a.nii.gz")
    words = ["segment", str(scan), "-o", str(tmp_path / "first"), "--model", str(grey_model)]
    assert main([*words, "--labels", "totalspineseg", "-q"]) == 0
    seg = tmp_path / "first/a_seg.nii.gz"
    capsys.readouterr()
    code, _, said = run(seg, "--shift", "1", "--labels", "spider")
    assert code == 1
    assert "its record or header says that its values are those of totalspineseg" in said[0]
    assert run(seg, "--shift", "1")[0] == 0
    before, after = ids(seg), ids(tmp_path / "out/a_seg.nii.gz")
    assert (after[before == 44] == 43).all()  # L4 -> L3 in that scheme
    assert (before == 44).any()


def test_without_the_record_the_map_itself_says_it(run, grey_model, tmp_path):
    scan = write_stairs(tmp_path / "scans/a.nii.gz")
    words = ["segment", str(scan), "-o", str(tmp_path / "first"), "--model", str(grey_model)]
    assert main([*words, "--labels", "totalspineseg", "-q"]) == 0
    (tmp_path / "first/a.json").unlink()
    for source, folder in (("first", "second"), ("second", "third")):  # a renamed map says it too
        assert run(tmp_path / source / "a_seg.nii.gz", "--shift", "1", out=tmp_path / folder)[0] == 0
    before, after = ids(tmp_path / "first/a_seg.nii.gz"), ids(tmp_path / "third/a_seg.nii.gz")
    assert (after[before == 44] == 42).all()  # L4 -> L2 in that scheme
    assert (before == 44).any()


def test_a_full_disk_leaves_nothing(run, segmented, small_disk):
    (small_disk / "fill").write_bytes(bytes(12_000))
    code, printed, said = run(segmented, "--shift", "1", out=small_disk / "out")
    assert (code, printed) == (1, [])
    assert "could not be written: No space left on device" in said[0]
    assert f"{small_disk / 'out'}/a" in said[0]  # the name that it was meant to get
    assert list((small_disk / "out").iterdir()) == []


def test_a_picture(run, tmp_path):
    labels = stairs()[1][:, :, 2][:, ::-1].T  # rows caudally, columns posteriorly
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "a_seg.png")
    code, _, said = run(tmp_path / "a_seg.png", "--shift", "1")
    assert code == 1
    assert "a PNG without a pixel size" in said[0]
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "scan.png")
    scan = read_scan(tmp_path / "scan.png", pixel_mm=2.0)
    write_labels(labels[..., None], scan, tmp_path / "own_seg.png")
    code, printed, _ = run(tmp_path / "own_seg.png", "--shift", "1")
    assert (code, printed) == (0, [str(tmp_path / "out/own_seg.png")])
    found, affine = read_labels(printed[0])
    np.testing.assert_allclose(affine, scan.affine)
    assert (found[..., 0][labels == 2] == 3).all()


def test_an_mha_becomes_nifti(run, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    _, labels, _ = stairs()
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.transpose()))
    image.SetSpacing((2.0, 2.0, 4.0))
    image.SetDirection((0, 0, -1, 1, 0, 0, 0, 1, 0))
    sitk.WriteImage(image, str(tmp_path / "a_seg.mha"))
    code, printed, _ = run(tmp_path / "a_seg.mha", "--shift", "1")
    assert (code, printed) == (0, [str(tmp_path / "out/a_seg.nii.gz")])
    found, at = read_labels(printed[0])
    np.testing.assert_allclose(at, read_labels(tmp_path / "a_seg.mha")[1], atol=1e-6)
    assert (found[labels == 2] == 3).all()


def test_segments_of_slicer_are_known_by_their_names(run, tmp_path):
    """Slicer numbered them 1, 2, 3; taken for cafrnet's ids, those would be S, L5 and L4."""
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    _, labels, at = stairs()
    given = np.zeros_like(labels)
    for value, name in enumerate(("L5", "L4", "L4/L5"), 1):
        given[labels == TABLE[name].id] = value
    seg = save_segments(tmp_path / "a.seg.nrrd", [given], at, [("L5", 1, 0), ("L4", 2, 0), ("L4/L5", 3, 0)])
    code, printed, _ = run(seg, "--shift", "+1")
    assert (code, printed) == (0, [str(tmp_path / "out/a_seg.nii.gz")])
    after, affine = read_labels(printed[0])
    np.testing.assert_allclose(affine, at, atol=1e-5)
    for value, name in ((0, "background"), (1, "L4"), (2, "L3"), (3, "L3/L4")):
        assert (after[given == value] == TABLE[name].id).all()


@pytest.mark.parametrize("words", [(), ("--overwrite",)])
def test_a_scan_is_never_replaced_by_a_label_map(run, tmp_path, words):
    """Slicer keeps ``a.seg.nrrd`` beside ``a.nii.gz``, and nothing says that this is its scan."""
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    _, labels, at = stairs()
    scan = write_stairs(tmp_path / "here/a.nii.gz")
    seg = save_segments(tmp_path / "here/a.seg.nrrd", [labels], at, [("L5", 2, 0), ("L4", 3, 0)])
    before = sha256(scan)
    assert run(seg, "--shift", "+1", *words, out=tmp_path / "here")[0] == 0
    assert (tmp_path / "here/a_seg.nii.gz").is_file()
    code, _, said = run(seg, "--shift", "+1", *words, out=scan)
    assert code == 1
    assert "is no label map of cafrnet's, a scan perhaps, and is not replaced" in said[0]
    assert sha256(scan) == before


def test_a_segment_without_a_name_stops_its_file(run, tmp_path):
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    _, labels, at = stairs()
    seg = save_segments(tmp_path / "a.seg.nrrd", [labels], at, [("tissue", 2, 0)])
    code, printed, said = run(seg, "--shift", "+1")
    assert (code, printed) == (1, [])
    assert "'tissue' are no structures of the scheme 'cafrnet'; name them L5" in said[0]


@pytest.mark.parametrize("flips", [(False, True, False), (True, False, True)])
def test_the_preview_of_a_mirrored_label_map_is_that_of_the_map_as_it_was(run, segmented, tmp_path, flips):
    assert run(segmented, "--shift", "1", out=tmp_path / "plain")[0] == 0
    image = nib.load(segmented)
    turned, at = moved(np.asarray(image.dataobj), image.affine, (0, 1, 2), flips)
    assert not np.array_equal(turned, ids(segmented))
    nib.save(nib.Nifti1Image(turned, at), segmented)
    assert run(segmented, "--shift", "1")[0] == 0
    drawn, expected = (np.asarray(Image.open(tmp_path / f"{o}/a_preview.png")) for o in ("out", "plain"))
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_allclose(nib.load(tmp_path / "out/a_seg.nii.gz").affine, at, atol=1e-5)
    again = moved(ids(tmp_path / "plain/a_seg.nii.gz"), image.affine, (0, 1, 2), flips)[0]
    np.testing.assert_array_equal(ids(tmp_path / "out/a_seg.nii.gz"), again)


def test_no_preview_of_a_label_map_that_lies_elsewhere(run, segmented, tmp_path):
    image = nib.load(segmented)
    at = image.affine + np.pad(np.full((1, 1), 20), ((1, 2), (3, 0)))  # ten voxels of 2 mm to the front
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), at), segmented)
    code, _, said = run(segmented, "--shift", "1")
    assert code == 0
    assert "look: no preview was drawn: " in said[0]
    assert "puts it 10.0 voxels and 0.0 degrees off the scan" in said[0]
    assert not (tmp_path / "out/a_preview.png").exists()


def test_what_has_no_name_stays_so_and_that_is_said(run, tmp_path):
    """T9 above T10: one up it leaves the table, and one down again nothing tells what it was."""
    labels = stairs()[1]
    labels[labels == TABLE["L1"].id] = TABLE["T9"].id
    lost = int((labels == TABLE["T9"].id).sum())
    seg = write_seg(tmp_path / "a_seg.nii.gz", labels)
    _, printed, said = run(seg, "--shift", "+1")
    assert "now 255: T9" in said[0]
    assert "without a name" not in said[0]
    _, printed, said = run(printed[0], "--shift", "-1", out=tmp_path / "back")
    assert f"look: {lost} voxels without a name (255) stay so; to name them, segment again" in said[0]
    np.testing.assert_array_equal(ids(printed[0]), np.where(labels == TABLE["T9"].id, 255, labels))
    _, _, said = run(printed[0], f"--anchor=L4={point(inside('L4')[1])}", out=tmp_path / "same")
    assert "without a name" not in said[0]
