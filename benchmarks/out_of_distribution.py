"""How far a model holds outside of what it was trained on: curves over contrast, grid, signal and pose.

    python benchmarks/out_of_distribution.py run DATA --run RUN SPLIT [--run RUN SPLIT ...] -o OUT
        [--cases 3] [--phantoms 6] [--strengths 4] [--only CONDITION ...] [--calibration-of RUN]
        [--minutes M] [--threads 1]
    python benchmarks/out_of_distribution.py run --bundle default -o OUT
    python benchmarks/out_of_distribution.py report OUT [--figure PNG]

Each run is tried on the first ``--cases`` cases of its split's val part (a fold that it never saw), the
first run also on phantoms of seed 1000 and up. Every scan goes through as it is and under each condition at
each strength; ``--bundle`` tries a bundle, the one that ships say, on the phantoms alone, since it may have
learnt from every real case there is. All chance comes from the names of case and condition.
``OUT/rows.csv`` grows scan by scan, and a second call goes on where the first one stopped (``--minutes``:
begin no further scan after that); rows of another model file or calibration are made anew. Triage's
verdicts are those of each run's own calibration, or of ``--calibration-of``. ``report`` (``run`` ends with
it) writes ``OUT/table.md``, ``OUT/summary.csv`` and ``OUT/curves.png``.

Axes: s = slice, r = row (caudal), c = column (posterior). Scans are brought to that order first.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
from scipy import ndimage

from cafrnet.datasets import Case, Split, open_dataset
from cafrnet.errors import InputError
from cafrnet.evaluation.classes import status
from cafrnet.evaluation.levels import confusion, levels
from cafrnet.evaluation.overlap import Overlap
from cafrnet.evaluation.sets import annotated, resolve
from cafrnet.experiments.probes.artefacts import seed_of
from cafrnet.files import sha256, whole_file, write_text
from cafrnet.inference import Model, load_model, segment_scan
from cafrnet.labels import TABLE, ValueSets
from cafrnet.phantom import PhantomOptions, make_phantom
from cafrnet.scan import Scan

#: Ids of the headline: bodies and discs.
NAMED = TABLE.of_kind("body", "disc")
#: A structure carries a wrong name where another of its kind covers this share of it, and more than its own
#: name does (as calibration counts it): a sliver of a disc that its vertebra covers has a bad outline only.
MISNAMED = 0.25
#: A scan's levels are right if no name is wrong and at least this share of the structures carries its own.
LEAST_NAMED = 0.5
FIRST_PHANTOM = 1000
#: What every phantom is unless a condition says otherwise; 14 slices of 4.4 mm are a clinical scan's width.
PHANTOM = PhantomOptions(matrix=(256, 256), slices=14, slice_spacing_mm=4.4, contrast="t2", supersampling=2)
COLUMNS = ("model", "source", "scan", "condition", "strength", "dsc", "bodies", "discs", "right", "wrong",
           "verdict", "sureness", "seconds")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Labelled:
    """A scan in (s, r, c) order with its truth.

    Attributes:
        scan: voxels [s, r, c].
        truth: [s, r, c], the dataset's own values.
        sets: what they stand for.
        name: case id, or ``phantom SEED``.
        seed: of a phantom; None for a real scan.
    """

    scan: Scan
    truth: np.ndarray
    sets: ValueSets
    name: str
    seed: int | None = None

    def showing(self, voxels: np.ndarray) -> Labelled:
        return replace(self, scan=Scan(voxels, self.scan.affine, source=self.name))


def upright(scan: Scan, truth: np.ndarray, sets: ValueSets, name: str, seed: int | None = None) -> Labelled:
    """Bring scan and truth to (s, r, c) order, at their place in the world."""
    frame = scan.frame
    index = np.zeros((4, 4))
    index[3, 3] = 1
    for k, (axis, flipped) in enumerate(zip(frame.axes, frame.flipped, strict=True)):
        index[axis, k] = -1 if flipped else 1
        index[axis, 3] = scan.voxels.shape[axis] - 1 if flipped else 0
    voxels, values = (np.ascontiguousarray(frame.to_sagittal(a)) for a in (scan.voxels, truth))
    return Labelled(Scan(voxels, scan.affine @ index, source=name), values, sets, name, seed)


# ---- contrast -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """How grey values of T2 become those of another contrast; all from 0 to 1.

    Attributes:
        curve: for what is not marked, at equal steps of the T2 value.
        tissue: kind -> (value at the kind's median T2 value, share of the T2 value's deviation that is kept).
    """

    curve: tuple[float, ...]
    tissue: Mapping[str, tuple[float, float]]


#: Fat stays bright, fluid becomes dark, muscle rises; roots stand out from fluid. Levels: the phantom's T1.
T1 = Contrast(
    (0.01, 0.26, 0.42, 0.54, 0.66, 0.78, 0.88, 0.95, 0.97, 0.98, 1.0),
    {"body": (0.55, 0.6), "disc": (0.28, 0.15), "canal": (0.20, -0.35), "posterior": (0.60, 0.6)},
)
#: Fat (most of what is bright and not marked) is gone, fluid stays; fatty marrow is dark, oedema is not seen.
STIR = Contrast(
    (0.01, 0.20, 0.23, 0.20, 0.16, 0.12, 0.09, 0.07, 0.06, 0.06, 0.06),
    {"body": (0.14, -0.25), "disc": (0.35, 1.1), "canal": (0.80, 0.8), "posterior": (0.12, -0.15)},
)


def random_contrast(seed: int) -> Contrast:
    """Draw every grey value anew: no sequence gives it, but training on re-synthesis promises it."""
    rng = np.random.default_rng(seed)
    curve = rng.random(7)
    curve = np.sort(curve) if rng.random() < 0.4 else curve
    curve[0] *= 0.15
    kinds = ("body", "disc", "canal", "posterior")
    return Contrast(tuple(curve), {k: (rng.uniform(0.05, 1), rng.uniform(-0.9, 1.5)) for k in kinds})


def resynthesise(base: Labelled, contrast: Contrast, strength: float) -> Labelled:
    r"""Mix a real scan with itself in another contrast.

    With g the T2 value (0 to 1 over the 99.5th percentile), k the kind of a voxel and M_k the median of g
    over it, the other contrast is :math:`v_k + d_k (g - M_k)` in what is marked and curve(g) elsewhere; a
    voxel at the border of what is marked takes from both. The result is ``(1 - strength) g + strength`` of
    it. Voxels at the scan's minimum stay there.
    """
    grey, low = _grey(base.scan.voxels)
    knots = np.linspace(0, 1, len(contrast.curve))
    ground = np.interp(grey, knots, contrast.curve).astype(np.float32)
    ids = base.sets.principal(base.truth)
    new, marked = ground.copy(), np.zeros(grey.shape, np.float32)
    for kind, (value, kept) in contrast.tissue.items():
        own = np.isin(ids, TABLE.of_kind(kind))
        if own.any():
            new[own] = value + kept * (grey[own] - np.median(grey[own]))
            marked[own] = 1
    soft = ndimage.uniform_filter(marked, (1, 3, 3))
    new = ground + np.where(marked > 0, soft, 0) * (new - ground)
    mixed = (1 - strength) * grey + strength * np.clip(new, 0, 1)
    return base.showing(np.where(low, 0, mixed + 1e-3).astype(np.float32))


def _grey(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels from 0 to 1, 1 being the 99.5th percentile of those above the minimum; where that is."""
    least = voxels == voxels.min()
    image = voxels.astype(np.float32) - float(voxels.min())
    return np.clip(image / np.percentile(image[~least], 99.5), 0, 1), least


@cache
def drawn(seed: int, options: PhantomOptions) -> Labelled:
    made = make_phantom(seed, options)
    return upright(made.scan, made.labels, ValueSets.identity(), f"phantom {seed}", seed)


def _phantom(base: Labelled, **options: object) -> Labelled:
    assert base.seed is not None
    return drawn(base.seed, replace(PHANTOM, **options))  # type: ignore[arg-type]


def mixed_phantom(base: Labelled, contrast: str, strength: float) -> Labelled:
    """Mix a phantom's T2 image with that of the same patient in another contrast."""
    other, _ = _grey(_phantom(base, contrast=contrast).scan.voxels)
    own, _ = _grey(base.scan.voxels)
    return base.showing((1 - strength) * own + strength * other)


# ---- grid and pose --------------------------------------------------------------------------------------


def respace(base: Labelled, spacing_mm: float) -> Labelled:
    """Make thicker slices, further apart: each the mean over its own thickness, the truth of its middle."""
    step, count = base.scan.spacing_mm[0], base.scan.voxels.shape[0]
    n = max(1, int(count * step / spacing_mm + 1e-6))
    centre = (count - 1) / 2 + (np.arange(n) - (n - 1) / 2) * spacing_mm / step
    inside = (np.arange(7) + 0.5) / 7 - 0.5
    planes = np.clip(centre[:, None] + inside * spacing_mm / step, 0, count - 1)
    below = np.minimum(planes.astype(int), max(count - 2, 0))
    weight = (planes - below)[..., None, None]
    image = base.scan.voxels.astype(np.float32)
    above = np.minimum(below + 1, count - 1)
    voxels = np.stack(
        [((1 - w) * image[b] + w * image[a]).mean(0) for b, a, w in zip(below, above, weight, strict=True)]
    )
    affine = base.scan.affine.copy()
    affine[:3, 3] += affine[:3, 0] * centre[0]
    affine[:3, 0] *= spacing_mm / step
    truth = base.truth[np.clip(np.rint(centre), 0, count - 1).astype(int)]
    return replace(base, scan=Scan(voxels.astype(np.float32), affine, source=base.name), truth=truth)


def rematrix(base: Labelled, matrix: float) -> Labelled:
    """Interpolate to a square matrix over the longer side of the field of view, zeros around the shorter."""
    n, shape = int(matrix), np.array(base.scan.voxels.shape[1:])
    step = np.array(base.scan.spacing_mm[1:])
    pixel = float((shape * step).max()) / n
    scale = pixel / step
    offset = (shape - 1) / 2 - scale * (n - 1) / 2
    affine = base.scan.affine.copy()
    affine[:3, 3] += affine[:3, 1:3] @ offset
    affine[:3, 1:3] *= scale
    return _through(base, np.diag(scale), offset, (n, n), affine)


def rotate(base: Labelled, angle_deg: float) -> Labelled:
    """Turn the patient in the sagittal plane, forwards or backwards by turns, under the same header."""
    sign = 1 if seed_of(0, base.name, "rotation") % 2 else -1
    c, s = np.cos(np.radians(sign * angle_deg)), np.sin(np.radians(sign * angle_deg))
    step = np.array(base.scan.spacing_mm[1:])
    turn = np.array([[c, -s], [s, c]]) * step / step[:, None]
    shape = np.array(base.scan.voxels.shape[1:])
    offset = (shape - 1) / 2 - turn @ ((shape - 1) / 2)
    return _through(base, turn, offset, tuple(shape), base.scan.affine)


def _through(
    base: Labelled, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, int], affine: np.ndarray
) -> Labelled:
    """Resample every slice: output pixel p comes from ``matrix p + offset``."""
    image, low = base.scan.voxels.astype(np.float32), float(base.scan.voxels.min())

    def resample(one: np.ndarray, order: int, outside: float) -> np.ndarray:
        return ndimage.affine_transform(
            one, matrix, offset, shape, order=order, mode="constant", cval=outside
        )

    voxels = np.stack([resample(s, 1, low) for s in image])
    truth = np.stack([resample(s, 0, 0) for s in base.truth])
    return replace(base, scan=Scan(voxels, affine, source=base.name), truth=truth)


# ---- scanner --------------------------------------------------------------------------------------------


def noisy(base: Labelled, std: float) -> Labelled:
    """Add Rician noise; ``std`` of each channel over the 99.5th percentile of the grey values."""
    grey, least = _grey(base.scan.voxels)
    rng = np.random.default_rng(seed_of(0, base.name, "noise"))
    both = rng.normal(0, std, (2, *grey.shape)).astype(np.float32)
    outside = least.all(axis=0)  # never measured
    return base.showing(np.where(outside, 0, np.hypot(grey + both[0], both[1]) + 1e-3).astype(np.float32))


def sixteen_bit(base: Labelled, factor: float) -> Labelled:
    """Store 16 bits, the surface coil uncorrected: near the skin of the back ``factor`` times as bright.

    The gain falls to 1/e over 25 mm from the last column that holds something. A factor of 1 is the same
    picture in other units.
    """
    voxels = base.scan.voxels.astype(np.float32) - float(base.scan.voxels.min())
    columns = np.flatnonzero(voxels.any(axis=(0, 1)))
    depth_mm = (columns[-1] - np.arange(voxels.shape[2])) * base.scan.spacing_mm[2]
    bright = voxels * (1 + (factor - 1) * np.exp(-np.maximum(depth_mm, 0) / 25)).astype(np.float32)
    return base.showing(np.rint(bright / bright.max() * 65535).astype(np.uint16))


# ---- conditions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """One way to leave what was trained on.

    Attributes:
        title, unit: in words.
        strengths: four, from mild to severe.
        apply: scan and strength -> scan.
    """

    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Labelled, float], Labelled]


MIX = (0.25, 0.5, 0.75, 1.0)
EITHER = {
    "low_signal": Condition("low signal", "noise, SD / brightest", (0.05, 0.1, 0.15, 0.2), noisy),
    "rotated": Condition("patient turned", "degrees, sagittal plane", (5, 10, 20, 30), rotate),
    "sixteen_bit": Condition("16 bits, bright back", "gain at the skin", (1, 2, 4, 8), sixteen_bit),
}
CONDITIONS: Mapping[str, Mapping[str, Condition]] = {
    "real": {
        "t1": Condition("T1-like", "share re-synthesised", MIX, lambda b, s: resynthesise(b, T1, s)),
        "stir": Condition("STIR-like", "share re-synthesised", MIX, lambda b, s: resynthesise(b, STIR, s)),
        "any": Condition(
            "random contrast", "share re-synthesised", MIX,
            lambda b, s: resynthesise(b, random_contrast(seed_of(0, b.name, "any")), s),
        ),
        "slices": Condition("thicker slices", "mm (clean: 1.8)", (2.7, 3.6, 4.4, 5.5), respace),
        "matrix": Condition("square matrix", "pixels a side", (320, 512, 704, 880), rematrix),
        **EITHER,
    },
    "phantom": {
        "t1": Condition("T1", "share of T1", MIX, lambda b, s: mixed_phantom(b, "t1", s)),
        "stir": Condition("STIR", "share of STIR", MIX, lambda b, s: mixed_phantom(b, "stir", s)),
        "slices": Condition(
            "slice distance", "mm (clean: 4.4), 62 mm wide", (3.3, 5.1, 6.2, 7.7),
            lambda b, mm: _phantom(b, slice_spacing_mm=mm, slices=round(61.6 / mm)),
        ),
        "width": Condition(
            "width", "mm (clean: 62), 4.4 mm slices", (22, 40, 79, 97),
            lambda b, mm: _phantom(b, slices=round(mm / 4.4)),
        ),
        "matrix": Condition(
            "square matrix", "pixels a side (clean: 256)", (384, 512, 704, 880),
            lambda b, n: _phantom(b, matrix=(int(n), int(n))),
        ),
        "oblique": Condition(
            "slices tilted", "degrees at most (clean: 3)", (6, 10, 15, 20),
            lambda b, deg: _phantom(b, oblique_deg=deg),
        ),
        **EITHER,
    },
}  # fmt: skip


# ---- measuring ------------------------------------------------------------------------------------------


def measure(shown: Labelled, model: Model) -> dict[str, object]:
    """Segment one scan and hold it against its truth.

    Returns:
        ``dsc``: case mean over ids 2-19, as ``cafrnet evaluate`` scores it; ``bodies`` and ``discs``: DSC of
        their outlines whatever their names; ``right``; ``wrong``: structures with another's name; verdict.
    """
    began = time.perf_counter()
    try:
        found = segment_scan(shown.scan, model)
    except InputError as error:
        return {"dsc": 0, "bodies": 0, "discs": 0, "right": 0, "wrong": 0, "verdict": f"refused: {error}",
                "sureness": 0, "seconds": 0}  # fmt: skip
    seconds = time.perf_counter() - began
    assert found.triage is not None
    pair = resolve(shown.truth, found.labels, shown.sets)
    counts = confusion(pair.truth, pair.pred)
    judged = levels(counts, [i for i in pair.marked if i in NAMED]).status.values()
    wrong = sum(misnamed(i, counts) for i in pair.marked if i in NAMED)
    named = sum(s == "right" for s in judged) >= LEAST_NAMED * len(judged)
    dice = []
    for i in (i for i in NAMED if i in annotated(shown.sets)):
        there = Overlap(int(counts[i].sum()), int(counts[:, i].sum()), int(counts[i, i]))
        if status(i, there, pair, counts) in ("found", "missed", "invented"):
            dice.append(there.dsc or 0.0)
    return {
        "dsc": round(float(np.mean(dice)), 4),
        "bodies": round(_outline(counts, "body"), 4),
        "discs": round(_outline(counts, "disc"), 4),
        "right": int(named and not wrong),
        "wrong": wrong,
        "verdict": found.triage.verdict,
        "sureness": round(found.triage.sureness, 4),
        "seconds": round(seconds, 2),
    }


def misnamed(identity: int, counts: np.ndarray) -> bool:
    own = TABLE.of_kind(TABLE[identity].kind)
    cover = counts[identity, list(own)]
    most = int(cover.argmax())
    return bool(
        own[most] != identity and cover[most] > 0 and cover[most] >= MISNAMED * counts[identity].sum()
    )


def _outline(counts: np.ndarray, kind: str) -> float:
    ids = list(TABLE.of_kind(kind))
    both = counts[np.ix_(ids, ids)].sum()
    return float(2 * both / max(counts[ids].sum() + counts[:, ids].sum(), 1))


def bases(models: Sequence[tuple[Model, str, list[Case]]], phantoms: int) -> Iterator[tuple]:
    """Yield (model, mark, source, name, maker of the scan), runs and sources by turns."""
    per_run = [
        [(model, mark, "real", case.id, partial(_read, case)) for case in cases]
        for model, mark, cases in models
    ]
    real = [one for some in zip_longest(*per_run) for one in some if one is not None]
    seeds = range(FIRST_PHANTOM, FIRST_PHANTOM + phantoms)
    made = [(*models[0][:2], "phantom", f"phantom {s}", partial(drawn, s, PHANTOM)) for s in seeds]
    for pair in zip_longest(real, made):
        yield from (one for one in pair if one is not None)


def _read(case: Case) -> Labelled:
    scan = case.read()
    return upright(scan, case.read_truth(scan), case.sets, case.id)


def chosen(strengths: Sequence[float], n: int) -> list[float]:
    """Return n of the strengths, the strongest among them."""
    return [strengths[round((k + 1) * len(strengths) / n) - 1] for k in range(n)]


def trials(source: str, strengths: int, only: Sequence[str] = ()) -> list[tuple[str, float]]:
    """Return condition and strength of every trial of a scan, the scan as it is first."""
    some = {name: one for name, one in CONDITIONS[source].items() if not only or name in only}
    return [("as it is", 0.0), *((n, s) for n, one in some.items() for s in chosen(one.strengths, strengths))]


def try_one(
    base: Labelled, source: str, model: Model, mark: str, open_trials: list[tuple[str, float]]
) -> list[dict]:
    """Return one row for each trial of a scan."""
    rows = []
    for name, strength in open_trials:
        shown = base if name == "as it is" else CONDITIONS[source][name].apply(base, strength)
        what = {"model": mark, "source": source, "scan": base.name, "condition": name, "strength": strength}
        rows.append({**what, **measure(shown, model)})
    drawn.cache_clear()
    return rows


def open_models(args: argparse.Namespace) -> list[tuple[Model, str, list[Case]]]:
    """Return each run's model, the mark of its files, and its cases."""
    judge = load_model(args.calibration_of, engine="onnxruntime") if args.calibration_of else None
    models = []
    if args.bundle:
        model = load_model(args.bundle, threads=args.threads, engine="onnxruntime")
        models.append((model, model.hashes["model.onnx"][:12], []))
    dataset = open_dataset(args.data) if args.run else None
    for path, split in args.run:
        mark = sha256(Path(path) / "model.onnx")[:12]
        model = load_model(path, threads=args.threads, engine="onnxruntime")
        if judge is not None:
            model = replace(model, calibration=judge.calibration, naming=judge.naming)
            mark += "+" + sha256(Path(args.calibration_of) / "model.onnx")[:12]
        cases = dataset.select(Split.load(split, dataset).parts(None)["val"][: args.cases])
        models.append((model, mark, cases))
    return models


def run(args: argparse.Namespace) -> None:
    began = time.monotonic()
    models = open_models(args)
    file = args.out / "rows.csv"
    rows = read_rows(file) if file.exists() else []
    rows = [r for r in rows if r["model"] in {mark for _, mark, _ in models}]
    for model, mark, source, name, make in bases(models, args.phantoms):
        here = {(r["model"], r["scan"], r["condition"], r["strength"]) for r in rows}
        todo = [t for t in trials(source, args.strengths, args.only) if (mark, name, *t) not in here]
        if not todo:
            continue
        if args.minutes and time.monotonic() - began > 60 * args.minutes:
            print(f"time is over before {name}; the same command goes on from here", flush=True)
            break
        rows += try_one(make(), source, model, mark, todo)
        write_rows(file, rows)
        print(f"{name}: {len(todo)} scans, {time.monotonic() - began:.0f} s", flush=True)
    report(args)


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS if path.name == "rows.csv" else list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {k: float(row[k]) for k in ("strength", "dsc", "bodies", "discs", "right", "sureness")}
        row["wrong"] = int(row["wrong"])
    return rows


# ---- reporting ------------------------------------------------------------------------------------------


def summarise(rows: list[dict]) -> list[dict]:
    """Return one line per source, condition and strength; shares in per cent of the scans."""
    lines = []
    for source, conditions in CONDITIONS.items():
        for name in ("as it is", *conditions):
            here = [r for r in rows if (r["source"], r["condition"]) == (source, name)]
            for strength in sorted({r["strength"] for r in here}):
                some = [r for r in here if r["strength"] == strength]
                lines.append({"source": source, "condition": name, "strength": strength, **_line(some)})
    return lines


def _line(some: list[dict]) -> dict[str, object]:
    n = len(some)
    passed = [r for r in some if r["verdict"] == "pass"]
    share = {v: round(100 * sum(r["verdict"] == v for r in some) / n) for v in ("pass", "review", "fail")}
    means = {k: round(100 * float(np.mean([r[k] for r in some])), 1) for k in ("dsc", "bodies", "discs")}
    right = round(100 * float(np.mean([r["right"] for r in some])))
    wrong = sum(r["wrong"] > 0 for r in passed)
    return {"scans": n, **means, "right": right, **share, "passed": len(passed), "wrong_of_passed": wrong}


def table(lines: list[dict]) -> str:
    """Return the summary as Markdown, one table per source."""
    parts = []
    for source, conditions in CONDITIONS.items():
        own = [line for line in lines if line["source"] == source]
        if not own:
            continue
        parts.append(
            f"{source}\n\n| condition | strength | scans | DSC, named | bodies | discs | levels right % "
            "| pass / review / fail % | wrong of passed |\n|---|---|---|---|---|---|---|---|---|"
        )
        for k in own:
            one = conditions.get(k["condition"])
            title = f"{one.title} ({one.unit})" if one else k["condition"]
            strength = f"{k['strength']:g}" if one else ""
            verdicts = f"{k['pass']} / {k['review']} / {k['fail']}"
            wrong = f"{k['wrong_of_passed']} of {k['passed']}"
            parts.append(
                f"| {title} | {strength} | {k['scans']} | {k['dsc']} | {k['bodies']} | {k['discs']} "
                f"| {k['right']} | {verdicts} | {wrong} |"
            )
        parts.append("")
    return "\n".join(parts)


def plot(lines: list[dict], path: Path) -> None:
    """Draw one panel per condition; strengths stand at equal distances."""
    import matplotlib.pyplot as plt

    ways = (("dsc", "DSC, named", "C0o-"), ("outlines", "DSC, outlines", "C1s-"),
            ("right", "levels right", "C2^--"), ("pass", "passed by triage", "C3x:"))  # fmt: skip
    lines = [{**k, "outlines": (k["bodies"] + k["discs"]) / 2} for k in lines]
    shown = [s for s in CONDITIONS if any(k["source"] == s for k in lines)]
    panels = [(source, name, one) for source in shown for name, one in CONDITIONS[source].items()]
    rows = -(-(len(panels) + 1) // 6)  # one is left for the legend
    figure, axes = plt.subplots(rows, 6, figsize=(12.8, 2.1 * rows), layout="constrained", sharey=True)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (source, name, one) in zip(axes.flat, panels, strict=False):
        here = [k for k in lines if (k["source"], k["condition"]) == (source, name)]
        clean = next(k for k in lines if (k["source"], k["condition"]) == (source, "as it is"))
        for key, title, style in ways:
            ax.plot(
                range(len(here) + 1), [clean[key], *(k[key] for k in here)], style, ms=4, lw=1.2, label=title
            )
        ax.set_xticks(range(len(here) + 1), ["as is", *(f"{k['strength']:g}" for k in here)], fontsize=7)
        ax.set_title(f"{source}: {one.title}", fontsize=8)
        ax.set_xlabel(one.unit, fontsize=7)
        ax.set_ylim(-4, 104)
        ax.tick_params(axis="y", labelsize=7)
        ax.grid(alpha=0.3)
    figure.supylabel("%", fontsize=8)
    handles, names = axes.flat[0].get_legend_handles_labels()
    axes.flat[-1].legend(handles, names, loc="center", fontsize=8, frameon=False)
    with whole_file(path) as part:
        figure.savefig(part, dpi=80, format="png")


def report(args: argparse.Namespace) -> None:
    lines = summarise(read_rows(args.out / "rows.csv"))
    write_rows(args.out / "summary.csv", lines)
    write_text(args.out / "table.md", table(lines))
    plot(lines, args.figure or args.out / "curves.png")
    print(table(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    a = verbs.add_parser("run")
    a.add_argument("data", nargs="?")
    a.add_argument("--run", nargs=2, action="append", default=[], metavar=("RUN", "SPLIT"))
    a.add_argument("--bundle", metavar="NAME", help="on phantoms alone")
    a.add_argument("--cases", type=int, default=3, help="of each run's val part")
    a.add_argument("--phantoms", type=int, default=6)
    a.add_argument("--strengths", type=int, default=4, choices=(1, 2, 4))
    a.add_argument(
        "--only", nargs="+", default=(), choices=sorted({n for c in CONDITIONS.values() for n in c})
    )
    a.add_argument("--calibration-of", metavar="RUN")
    a.add_argument("--minutes", type=float)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("-o", dest="out", type=Path, required=True)
    a.set_defaults(do=run)
    b = verbs.add_parser("report")
    b.add_argument("out", type=Path)
    b.set_defaults(do=report)
    for one in (a, b):
        one.add_argument("--figure", type=Path, help="instead of OUT/curves.png")
    args = parser.parse_args()
    if args.do is run and (bool(args.data) != bool(args.run) or not (args.run or args.bundle)):
        parser.error("give DATA with --run RUN SPLIT, or --bundle NAME")
    args.do(args)


if __name__ == "__main__":
    main()
