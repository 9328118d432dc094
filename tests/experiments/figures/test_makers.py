"""All figures of a small reproduction, called as the page calls them."""

from dataclasses import replace
from pathlib import Path

import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.experiments.figures.makers import curve_makers, figure_makers, robustness_makers
from cafrnet.experiments.figures.subject import Subject, as_table
from cafrnet.experiments.layout import Folder
from cafrnet.experiments.parts import MAKERS, makers
from cafrnet.experiments.probes import embeddings
from cafrnet.experiments.tables.context import Context
from cafrnet.experiments.tables.table import Nothing
from handmade import write_grey_model

from ..probes.folders import holdout, put_journal, put_network, put_scores, put_stairs
from ..small import row_scores, run_scores
from .pictures import drawn_well
from .test_disagreement import IN_L5, planted

CASES = ("Case1", "Case2")
ROWS = {"unet": (), "baseline": ("lafr=false", "clr=false"), "lafr_only": ("clr=false",), "cafr_net": ()}
CONTEXT = Context("stairs", "d" * 64, 2, (0,), 5, 20, 16, (0,), "small", "s" * 64)


def subject_of(folder, data, places, comparison, ablation=(), reference="cafr_net", rising=()):
    """Return the subject of finished runs: row -> its (fold, seed) places."""
    scores = {
        row: row_scores(row, *(run_scores({}, fold=k, seed=s, converged=row not in rising) for k, s in own))
        for row, own in places.items()
    }
    found = {row: [folder.run(row, *place) for place in own] for row, own in places.items()}
    return Subject(folder, data, tuple(comparison), tuple(ablation), reference, scores, found, CONTEXT)


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
    ablation = [row for row in ROWS if row != "unet"]
    return subject_of(folder, data, {row: [(0, 0)] for row in ROWS}, ("unet", "cafr_net"), ablation)


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


def test_every_figure_has_its_maker(subject):
    assert list(figure_makers(subject)) == list(FIGURES)
    assert list(robustness_makers(subject)) == ["robustness"]  # no gradings, no pathology


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
        (table,) = robustness_makers(subject)["pathology"]().tables
    finally:
        path.unlink()
    assert table.rows[0]["reason"].startswith("too few: 2 discs of 2 patients")


def test_learning_curve(subject):
    small = replace(subject, curve={"cafr_net": {"baseline": 3}})
    made = curve_makers(small)["learning_curve"]()
    assert [row["train_cases"] for row in made.tables[0].rows] == [1, 3]  # its own row has one
    drawn_well(made.figures[0])


def test_robustness(subject):
    pytest.importorskip("monai")
    for row in subject.comparison:
        write_grey_model(subject.folder.run(row, 0, 0).path)
    mild = replace(subject, levels=(1,), disturbed=1, threads=1)
    made = robustness_makers(mild)["robustness"]()
    assert len(made.figures) == 3
    assert {row["row"] for row in made.tables[0].rows} == set(subject.comparison)
    assert len(made.tables[0].rows) == 2 * 9  # the clean scan and eight artefacts


def side_by_side(**places):
    """Return what is drawn of these rows: row -> its (fold, seed) places."""
    return subject_of(Folder(Path("x")), "data", {r: own for r, own in places.items() if own}, places)


def test_one_row_that_is_ahead_leaves_the_others_in_the_picture():
    ahead = side_by_side(unet=[(0, 0), (1, 0)], cafr_net=[(0, 0)])
    rows = ahead.together(ahead.comparison)
    assert {row: [run.name for run in runs] for row, runs in rows.runs.items()} == {
        "unet": ["unet/fold0/seed0"],
        "cafr_net": ["cafr_net/fold0/seed0"],
    }
    assert rows.notes == ["Left out: fold 1 (not run for all rows)."]


def test_rows_that_would_leave_no_fold_are_left_out_and_named():
    odd = side_by_side(a=[(0, 0), (1, 0)], b=[(0, 0), (0, 1)], c=[(1, 0)], d=[])
    rows = odd.together(odd.comparison)
    assert [run.name for run in rows.all_runs] == ["a/fold0/seed0", "b/fold0/seed0", "b/fold0/seed1"]
    assert rows.notes == ["Left out: d (no run), c (no run on fold 0), fold 1 (not run for all rows)."]
    with pytest.raises(UsageError, match="none of d has a finished run"):
        odd.together(("d",))


def test_a_row_that_did_not_converge_is_marked():
    subject = subject_of(Folder(Path("x")), "data", {"a": [(0, 0)], "b": [(0, 0)]}, "ab", rising=("b",))
    assert subject.together("ab").notes == ["b: not converged (1 of 1 runs); no claim."]


def test_every_caption_says_data_folds_steps_and_seeds_and_what_did_not_converge(subject, monkeypatch):
    pytest.importorskip("monai")
    pytest.importorskip("sklearn")
    monkeypatch.setattr(embeddings, "TSNE_CELLS", 60)
    for row in subject.comparison:
        write_grey_model(subject.folder.run(row, 0, 0).path)
    rising = replace(row_scores("cafr_net", run_scores({}, converged=False)), label="full")
    scores = {**subject.scores, "cafr_net": rising}
    whole = replace(
        subject, scores=scores, curve={"cafr_net": {"baseline": 3}}, levels=(1,), disturbed=1, threads=1
    )
    (whole.data / "gradings.csv").write_text("Patient,IVD label,Pfirrmann\n1,1,2\n2,1,3\n")
    try:
        made = {n: make() for part in MAKERS for n, make in makers(part, whole).items()}
    finally:
        (whole.data / "gradings.csv").unlink()
    assert set(made) == {*FIGURES, "robustness", "pathology", "learning_curve"}
    for name, one in made.items():
        doubt = [] if name in ("figure1", "figure2") else ["full: not converged (1 of 1 runs); no claim."]
        for drawn in one.figures:
            drawn_well(drawn, *doubt)
        for table in one.tables:
            assert list(table.notes) == doubt
        for caption in [*(d.caption for d in one.figures), *(t.caption for t in one.tables)]:
            assert caption.startswith(CONTEXT.caption()), name


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
