"""Each layout, with the quirks of its files, made as tiny files that have them."""

import json

import numpy as np
import pytest
from drawn_spine import draw_image, draw_labels, save

from cafrnet.datasets import Case, open_dataset
from cafrnet.datasets.layout import natural_key, pair_key
from cafrnet.errors import InputError, UsageError
from cafrnet.labels import SCHEMES, ValueSets
from cafrnet.scan import read_scan
from cafrnet.scan.dicom_writer import write_series


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_natural_order_and_pair_keys():
    assert sorted(["Case10", "case2", "Case1"], key=natural_key) == ["Case1", "case2", "Case10"]
    for name in ("Case5.nii.gz", "mask_case5.nii.gz", "seg_case5.nii", "CASE5_seg.nii.gz", "case5_msk.nii"):
        assert pair_key(name) == "case5"


# --- SpineMRI ---------------------------------------------------------------------------------------------


def test_capital_images_pair_with_small_masks_in_natural_order_with_gaps(spinemri):
    dataset = open_dataset(spinemri(215, 2, 10))
    assert [c.id for c in dataset] == ["Case2", "Case10", "Case215"]
    assert [c.labels.name for c in dataset] == [f"mask_case{n}.nii.gz" for n in (2, 10, 215)]
    assert [c.patient for c in dataset] == ["2", "10", "215"]


def test_without_dataset_yaml_vertebrae_are_whole_and_the_canal_unmarked(spinemri):
    dataset = open_dataset(spinemri(2, values=""))
    assert dataset.name == "SpineMRI"
    assert "no redistribution" in dataset.licence
    assert dataset.sets is SCHEMES["spinemri"].sets
    assert dataset.sets.values[2] == (2, 21)
    assert dataset.sets.values[0] == (0, 20)


def test_values_not_named_in_dataset_yaml_stand_for_themselves(spinemri):
    dataset = open_dataset(spinemri(2, values="values: {0: [0, 1]}"))
    assert dataset.name == "drawn"
    assert dataset.sets.values[0] == (0, 1)
    assert dataset.sets.values[2] == (2,)
    assert dataset.sets.values[20] == (20,)


def test_dataset_yaml_without_values_keeps_the_adapters(spinemri):
    dataset = open_dataset(spinemri(2, values="licence: CC0"))
    assert dataset.sets.values[2] == (2, 21)
    assert dataset.licence == "CC0"


def test_dataset_yaml_may_name_a_scheme(spinemri):
    root = spinemri(2, values="scheme: totalspineseg\nvalues: {99: [255]}")
    assert open_dataset(root).sets.values[45] == (2, 21)
    assert open_dataset(root).sets.values[99] == (255,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values: {0: [77]}", "77"),
        ("values: 3", "values"),
        ("scheme: spidr", "spider"),
        ("- a", "list"),
        ("a: [", "YAML"),
    ],
)
def test_a_bad_dataset_yaml_is_named(spinemri, text, said):
    root = spinemri(2)
    (root / "dataset.yaml").write_text(text)
    with pytest.raises(UsageError, match=rf"dataset\.yaml.*{said}"):
        open_dataset(root)


def test_a_misspelt_key_of_dataset_yaml_is_logged(spinemri, caplog):
    open_dataset(spinemri(2, values="value: {0: [0, 1]}"))
    assert "did you mean 'values'" in caplog.text


def test_axes_come_from_the_affine(spinemri):
    case = open_dataset(spinemri(7)).cases[0]
    scan = case.read()
    assert scan.voxels.shape == (50, 60, 4)  # AP, SI, LR
    np.testing.assert_array_equal(scan.frame.to_sagittal(scan.voxels), draw_image(7))
    np.testing.assert_array_equal(scan.frame.to_sagittal(case.read_truth(scan)), draw_labels())


def test_image_and_mask_pair_by_index_when_their_affines_differ(spinemri):
    root = spinemri(2)
    shift = np.eye(4)
    shift[:3, 3] = 0.5, 1.0, -1.0
    save(root / "train/Mask/mask_case2.nii.gz", draw_labels(), shift)
    case = open_dataset(root).cases[0]
    scan = case.read()
    assert scan.affine[0, 3] == -8  # the image's
    np.testing.assert_array_equal(scan.frame.to_sagittal(case.read_truth(scan)), draw_labels())


def test_missing_partners_on_either_side(spinemri):
    root = spinemri(2, 5)
    (root / "train/Mask/mask_case2.nii.gz").unlink()
    (root / "train/MR/Case5.nii.gz").unlink()
    dataset = open_dataset(root)
    assert [c.id for c in dataset] == ["Case2"]
    assert [p.name for p in dataset.orphans] == ["mask_case5.nii.gz"]
    with pytest.raises(InputError, match="no label map"):
        dataset.cases[0].read_truth()


def test_uncompressed_files_and_dicom_folders_are_cases(spinemri):
    root = spinemri(2, 3)
    (root / "train/MR/Case3.nii.gz").unlink()
    scan = read_scan(save(root / "Case9.nii", draw_image(9)))
    write_series(scan, root / "train/MR/Case3", description="T2 SAG", seed_uid="x")
    save(root / "train/MR/Case4.nii", draw_image(4))
    dataset = open_dataset(root)
    assert [c.id for c in dataset] == ["Case2", "Case3", "Case4"]
    read = dataset.by_id["Case3"].read()
    np.testing.assert_array_equal(read.frame.to_sagittal(read.voxels), draw_image(9))


def test_two_files_of_one_number_are_refused(spinemri):
    root = spinemri(2)
    save(root / "train/MR/case2.nii", draw_image(2))
    with pytest.raises(UsageError, match="both case '2'"):
        open_dataset(root)


def test_hidden_and_foreign_files_are_no_cases(spinemri):
    root = spinemri(2)
    touch(root / "train/MR/._Case3.nii.gz", root / "train/MR/readme.txt", root / "train/MR/Overview.nii.gz")
    assert [c.id for c in open_dataset(root)] == ["Case2"]


def test_the_truth_ids_are_principal_ids(spinemri):
    case = open_dataset(spinemri(2, values="")).cases[0]
    assert case.truth_ids() == {1, 2, 3, 4, 11, 12, 13}


# --- the others -------------------------------------------------------------------------------------------


def test_spider_series_share_their_patient(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    for stem in ("12_t2_SPACE", "12_t1", "3_t2"):
        for folder, array in (
            ("images", draw_image(1)),
            ("masks", (draw_labels() == 2).astype(np.uint8) * 201),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / folder / f"{stem}.mha"))
    touch(tmp_path / "overview.csv")
    dataset = open_dataset(tmp_path)
    assert [(c.id, c.patient) for c in dataset] == [("3_t2", "3"), ("12_t1", "12"), ("12_t2_SPACE", "12")]
    assert (dataset.name, dataset.licence) == ("SPIDER", "CC BY 4.0")
    case = dataset.cases[2]
    assert case.truth_ids() == {11}  # 201 is L5/S
    assert case.read_truth(case.read()).shape == case.read().voxels.shape


def test_verse_takes_the_subject_folder_as_patient(tmp_path):
    for scan in ("sub-verse004", "sub-verse401_split-verse253", "sub-verse401_split-verse254"):
        subject = scan.partition("_")[0]
        save(tmp_path / f"rawdata/{subject}/{scan}_ct.nii.gz", draw_image(1))
        save(
            tmp_path / f"derivatives/{subject}/{scan}_seg-vert_msk.nii.gz",
            (draw_labels() == 2) * np.uint8(24),
        )
        touch(tmp_path / f"derivatives/{subject}/{scan}_seg-subreg_ctd.json")
    dataset = open_dataset(tmp_path)
    assert [c.patient for c in dataset] == ["sub-verse004", "sub-verse401", "sub-verse401"]
    assert dataset.cases[0].truth_ids() == {2}  # 24 is L5
    assert dataset.sets.values[0][0] == 0
    assert 11 in dataset.sets.values[0]  # discs are not marked in VerSe


def nnunet(root, labels):
    for case in ("a_1", "a_2"):
        save(root / f"imagesTr/{case}_0000.nii.gz", draw_image(1))
        save(root / f"labelsTr/{case}.nii.gz", np.minimum(draw_labels((1, 11, 2)), 2))
    (root / "dataset.json").write_text(json.dumps({"name": "lumbar", "labels": labels, "licence": "CC0"}))
    return root


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "Sacrum": 1, "vertebra_L5": 2, "disc L5-S1": 3, "spinal_canal": 4, "ignore": 5},
        {"0": "background", "1": "S1", "2": "L5", "3": "IVD_L5/S", "4": "canal", "5": "unknown"},
    ],
)
def test_nnunet_labels_are_matched_by_name(tmp_path, labels):
    dataset = open_dataset(nnunet(tmp_path, labels))
    assert [c.id for c in dataset] == ["a_1", "a_2"]
    assert {v: dataset.sets.values[v] for v in range(6)} == {
        0: (0,),
        1: (1,),
        2: (2,),
        3: (11,),
        4: (20,),
        5: (255,),
    }
    assert dataset.cases[0].truth_ids() == {1, 2}
    assert (dataset.name, dataset.licence) == ("lumbar", "CC0")


def test_nnunet_labels_that_no_name_places_need_a_dataset_yaml(tmp_path):
    root = nnunet(tmp_path, {"background": 0, "wirbel": 1, "L5": 2})
    with pytest.raises(UsageError, match=r"'wirbel'.*dataset\.yaml"):
        open_dataset(root)
    (root / "dataset.yaml").write_text("values: {1: [3]}")
    assert open_dataset(root).sets.values[1] == (3,)


def test_nnunet_uses_the_first_channel_and_says_so(tmp_path, caplog):
    root = nnunet(tmp_path, {"background": 0, "S": 1, "L5": 2})
    save(root / "imagesTr/a_1_0001.nii.gz", draw_image(5))
    assert [c.image.name for c in open_dataset(root)] == ["a_1_0000.nii.gz", "a_2_0000.nii.gz"]
    assert "2 channels" in caplog.text


def test_nnunet_regions_are_refused(tmp_path):
    with pytest.raises(UsageError, match="region"):
        open_dataset(nnunet(tmp_path, {"background": 0, "L5": [1, 2]}))


def plain(root):
    for n, mask in ((1, "scan1_seg"), (2, "mask_scan2"), (3, "scan3"), (10, "Scan10_msk")):
        save(root / f"images/scan{n}.nii.gz", draw_image(n))
        save(root / f"labels/{mask}.nii.gz", draw_labels())
    return root


def test_plain_folders_pair_by_stem(tmp_path):
    dataset = open_dataset(plain(tmp_path))
    assert [c.id for c in dataset] == ["scan1", "scan2", "scan3", "scan10"]
    assert all(c.labels for c in dataset)
    assert [c.patient for c in dataset] == [c.id for c in dataset]
    assert dataset.sets.values[20] == (20,)


def test_plain_patients_csv(tmp_path):
    root = plain(tmp_path)
    (root / "patients.csv").write_text("case,patient\nscan1,A\nscan2,A\nscan3,B\n")
    with pytest.raises(UsageError, match="scan10"):
        open_dataset(root)
    (root / "patients.csv").write_text("case,patient\nscan1,A\nscan2,A\nscan3,B\nscan10,C\n")
    assert [c.patient for c in open_dataset(root)] == ["A", "A", "B", "C"]
    (root / "patients.csv").write_text("id;who\n")
    with pytest.raises(UsageError, match="columns"):
        open_dataset(root)


# --- which adapter ----------------------------------------------------------------------------------------


def test_an_unknown_layout_says_what_came_and_what_is_known(tmp_path):
    touch(tmp_path / "scans/one.nii.gz")
    with pytest.raises(UsageError, match=r"holds scans/.*SpineMRI.*SPIDER.*VerSe.*nnU-Net.*plain"):
        open_dataset(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds nothing"):
        open_dataset(tmp_path / "empty")


def test_the_folder_above_or_below_is_proposed(spinemri):
    root = spinemri(2)
    for wrong in (root.parent, root / "train"):
        with pytest.raises(UsageError, match=rf"Did you mean {root}\?"):
            open_dataset(wrong)


def test_two_layouts_in_one_folder_are_refused(spinemri):
    root = spinemri(2)
    plain(root)
    with pytest.raises(UsageError, match=r"more than one layout \(spinemri, plain\)"):
        open_dataset(root)


def test_selecting_an_unknown_case_names_the_nearest(spinemri):
    with pytest.raises(UsageError, match="did you mean 'Case2'"):
        open_dataset(spinemri(2)).select(["Case3"])


@pytest.mark.real
def test_real_scans_open(real_data):
    dataset = open_dataset(real_data)
    assert len(dataset) == 31
    assert len({c.patient for c in dataset}) == 31
    assert dataset.sets.values[0] == (0, 1)


def test_slicers_segments_are_no_truth_as_they_are(tmp_path):
    case = Case("a", tmp_path / "a.nrrd", tmp_path / "a.seg.nrrd", "a", ValueSets.identity())
    with pytest.raises(InputError, match=r"Slicer's own.*add-corrections"):
        case.read_truth()
