"""All figures of a small reproduction, called as the page calls them."""

from dataclasses import replace

import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.experiments.figures.makers import curve_makers, figure_makers, robustness_makers
from cafrnet.experiments.figures.subject import Subject, as_table
from cafrnet.experiments.layout import Folder
from cafrnet.experiments.probes import embeddings
from cafrnet.experiments.tables.table import Nothing
from handmade import write_grey_model

from ..probes.folders import holdout, put_journal, put_network, put_scores, put_stairs
from .pictures import drawn_well
from .test_disagreement import IN_L5, planted

CASES = ("Case1", "Case2")
ROWS = {"unet": (), "baseline": ("lafr=false", "clr=false"), "lafr_only": ("clr=false",), "cafr_net": ()}


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A folder in which every run is finished, on the handmade spine."""
    root = tmp_path_factory.mktemp("reproduction")
    data = put_stairs(root / "data")
    folder = Folder(root / "out")
    for k, (row, words) in enumerate(ROWS.items()):
        run = put_network(folder.run(row, 0, 0), holdout(*CASES), *words)
        for case in CASES:
            planted(data, folder.root / "x", row, *([(IN_L5, 3)] if k % 2 else []), case=case)
        put_journal(run, [0.2, 0.4], [0.1, 0.3])
        put_scores(run, {c: {2: 0.9 - k / 10, 11: 0.8, 12: 0.7} for c in CASES})
        (Folder(folder.root / "x").run(row, 0, 0).predictions).rename(run.predictions)
    return Subject(
        folder, data, ("unet", "cafr_net"), tuple(r for r in ROWS if r != "unet"), "cafr_net", (0,)
    )


FIGURES = {
    "figure1": ["figure1_architecture"],
    "figure2": ["figure2_classes"],
    "figure3": ["figure3_curves"],
    "figure4": ["figure4_zooms"],
    "figure5": ["figure5_cases"],
    "figure6": ["figure6_zooms"],
    "per_class_dsc": ["per_class_dsc"],
    "per_class_hd95": ["per_class_hd95_mm"],
    "attention": ["lafr_attention"],
    "embeddings": ["embeddings"],
}


def test_no_gradings_no_pathology(subject):
    assert list(figure_makers(subject)) == list(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure(name, subject, monkeypatch):
    if name == "embeddings":
        pytest.importorskip("sklearn")
        monkeypatch.setattr(embeddings, "TSNE_CELLS", 60)
    made = figure_makers(subject)[name]()
    assert [d.path.stem for d in made.figures] == FIGURES[name]
    for drawn in made.figures:
        drawn_well(drawn)
        assert drawn.path.parent == subject.folder.figures
    for table in made.tables:
        assert table.rows
        table.write(subject.folder.tables)


def test_clr_pairs_differ_in_clr_alone(subject, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(embeddings, "TSNE_CELLS", 60)
    made = figure_makers(subject)["embeddings"]()
    pairs = [(row["with_clr"], row["without"]) for row in made.tables[1].rows]
    assert pairs == [("cafr_net", "lafr_only")]


def test_gradings_bring_pathology(subject):
    path = subject.data / "gradings.csv"
    path.write_text("Patient,IVD label,Pfirrmann\n1,1,2\n2,1,3\n")
    try:
        (table,) = figure_makers(subject)["pathology"]().tables
    finally:
        path.unlink()
    assert table.rows[0]["reason"].startswith("too few: 2 discs of 2 cases")


def test_learning_curve(subject):
    small = replace(subject, curve={"cafr_net": {"baseline": 3}})
    made = curve_makers(small)["learning_curve"]()
    assert [row["train_cases"] for row in made.tables[0].rows] == [1, 3]  # its own row has one
    drawn_well(made.figures[0])


def test_robustness(subject):
    pytest.importorskip("monai")
    for row in subject.comparison:
        write_grey_model(subject.folder.run(row, 0, 0).path)
    mild = replace(subject, levels=(1,), threads=1)
    made = robustness_makers(mild)["robustness"]()
    assert len(made.figures) == 3
    assert {row["row"] for row in made.tables[0].rows} == set(subject.comparison)
    assert len(made.tables[0].rows) == 2 * 9  # the clean scan and eight artefacts


def test_rows_that_are_not_finished_everywhere_are_left_out(subject, tmp_path):
    other = Subject(Folder(tmp_path), subject.data, ("a", "b"), (), "a", (0, 1))
    for row, folds in (("a", (0, 1)), ("b", (0,))):
        for fold in folds:
            run = other.folder.run(row, fold, 0)
            put_scores(run, {f"c{fold}": {2: 0.5}})
    assert list(other.rows(("a", "b"))) == ["a"]
    with pytest.raises(UsageError, match="none of c has a finished run"):
        other.rows(("c",))


def test_an_undefined_number_is_no_zero_in_the_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("row,cases,mean,reason\na,5,0.5,\nb,1,,too few cases\n")
    table = as_table(path, "t", "T", "C")
    assert table.rows[0] == {"row": "a", "cases": 5, "mean": 0.5, "reason": Nothing()}
    assert table.rows[1]["mean"] == Nothing()
    assert table.rows[1]["reason"] == "too few cases"
    assert isinstance(table.rows[0]["cases"], int)


def test_the_dataset_is_opened_once(subject):
    assert subject.dataset is subject.dataset
    assert [c.id for c in subject.dataset] == [c.id for c in open_dataset(subject.data)]
