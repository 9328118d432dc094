"""One scan, file to label map, process start included: cafrnet, nnU-Net's predictor, MONAI, a bare U-Net.

    python benchmarks/peers.py -o OUT --data DIR --nnunet-python ENV/bin/python [--threads 2] [--minutes 10]
    python benchmarks/peers.py -o OUT ... --prepare      # nothing timed: scan, nnU-Net's plan, random weights

The scan is the phantom of `profile_segment.py` (12 slices of 880 x 880). nnU-Net plans on DATA, a labelled
dataset; its environment is made as docs/nnunet.md says. All networks but cafrnet's have random weights, so
nothing is said about accuracy. The tools take turns on the same cores, another one starting each round; the
slow ones take part in the first rounds only. What was measured is kept in OUT/runs.json after every run: the
same command goes on there, and `--minutes` ends it in time. Writes OUT/peers.md and OUT/peers.json. Linux.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import nibabel as nib
import numpy as np
from child import Child, entry_point
from profile_segment import write_scan
from side_by_side import about, table

from cafrnet.bundles.places import DEFAULT
from cafrnet.datasets import make_split, open_dataset
from cafrnet.experiments.nnunet.package import Folders, Package, environment
from cafrnet.experiments.nnunet.raw import DATASET_ID, write_raw
from cafrnet.files import sha256, write_json, write_text

HERE = Path(__file__).parent
PLANS, CONFIGURATION, TRAINER = "nnUNetPlans", "2d", "nnUNetTrainer"
#: What cafrnet aims at: times faster than nnU-Net's planned 2D configuration without its mirroring.
AIM = 20
#: Name of the tool that ratios are taken to.
OURS = "cafrnet"
#: How nnU-Net's command is called: name, label, options. By itself it mirrors, and three workers prepare and
#: three write; for one scan they only cost their start, so it is kinder to do all in one process.
NNUNET = (
    ("nnunet", "no mirroring", "--disable_tta", "-npp", 0, "-nps", 0),
    ("nnunet_workers", "no mirroring, its default workers", "--disable_tta"),
    ("nnunet_mirrored", "with its mirroring", "-npp", 0, "-nps", 0),
)
PACKAGES = ("cafrnet", "onnxruntime", "openvino", "torch", "monai", "numpy")

Runs = dict[str, list[dict]]


@dataclass(frozen=True)
class Tool:
    """One way from the scan to a label map.

    Attributes:
        label: as the table names it.
        run: runs it once; returns what it took.
        rounds: in how many of the rounds it takes part.
        whole: whether it is a whole command; else a part of one, with its own seconds in ``network_s``.
    """

    label: str
    run: Callable[[], dict]
    rounds: int
    whole: bool = True


@dataclass(frozen=True)
class Bench:
    """What all tools share.

    Attributes:
        work: folder of scan, weights and label maps.
        threads: of each tool; the process is bound to as many cores.
        model: of cafrnet; None for the one that ships.
        torch_python: Python with torch, MONAI and nibabel.
        package: nnU-Net's environment; None without it.
        variables: of every child.
    """

    work: Path
    threads: int
    model: str | None
    torch_python: str
    package: Package | None
    variables: dict[str, str] = field(repr=False)

    @property
    def scan(self) -> Path:
        return self.work / "scan.nii.gz"

    @property
    def folders(self) -> Folders:
        return Folders.under(self.work / "nnunetv2")

    @property
    def plan(self) -> dict:
        """nnU-Net's plan of the 2D configuration."""
        path = self.planned / f"{PLANS}.json"
        return json.loads(path.read_text(encoding="utf-8"))["configurations"][CONFIGURATION]

    @property
    def planned(self) -> Path:
        (found,) = self.folders.raw.glob(f"Dataset{DATASET_ID}_*")
        return self.folders.preprocessed / found.name

    @property
    def model_folder(self) -> Path:
        return self.folders.results / self.planned.name / f"{TRAINER}__{PLANS}__{CONFIGURATION}"

    def nnunet_variables(self) -> dict[str, str]:
        number = {"nnUNet_def_n_proc": str(self.threads), "nnUNet_n_proc_DA": str(self.threads)}
        return {**environment(self.folders), **self.variables, **number}


def prepare(bench: Bench, data: Path | None) -> None:
    """Write the scan, random weights, and nnU-Net's plan; each once, nothing of it is timed."""
    bench.work.mkdir(parents=True, exist_ok=True)
    if not bench.scan.is_file():
        write_scan(bench.scan)
    if not (bench.work / "sliding.pt").is_file():
        must(entry_point(bench.torch_python, "peers_torch:main", ["weights", bench.work], bench.variables))
    if bench.package is None or list(bench.folders.results.glob("*/*/fold_0/checkpoint_final.pth")):
        return
    if data is None:
        raise SystemExit("nnU-Net plans on a labelled dataset: --data DIR was expected")
    dataset = open_dataset(data)
    write_raw(dataset, make_split(dataset, folds=5), bench.folders.raw, "peers")
    words = ["-d", DATASET_ID, "-c", CONFIGURATION, "--no_pp", "-npfp", bench.threads]
    bench.package.call("nnUNetv2_plan_and_preprocess", words, bench.folders, bench.work / "plan.log")
    words = [
        "weights",
        bench.planned / f"{PLANS}.json",
        bench.folders.raw / bench.planned.name / "dataset.json",
    ]
    words += [CONFIGURATION, bench.model_folder]
    must(entry_point(bench.package.python, "peers_nnunet:main", words, bench.nnunet_variables()))
    given = bench.work / "given"
    given.mkdir(exist_ok=True)
    shutil.copyfile(bench.scan, given / "scan_0000.nii.gz")


def must(done: Child) -> dict:
    """Return what a run took; end the benchmark where it failed."""
    if done.code:
        raise SystemExit(f"a tool ended with {done.code}: {done.said[-2000:]}")
    return {"wall_s": done.wall_s, "cpu_s": done.cpu_s, "peak_mb": done.peak_mb}


def checked(took: dict, scan: Path, made: Path) -> dict:
    """Return what a run took, if its label map has the scan's grid and integers in it."""
    first, second = nib.load(scan), nib.load(made)
    labels = np.asarray(second.dataobj).squeeze()
    same = labels.shape == first.shape and np.allclose(first.affine, second.affine, atol=0.01)
    if not same or not np.array_equal(labels, labels.astype(np.uint8)):
        raise SystemExit(f"{made.name} is no label map on the scan's grid: {labels.shape}, {second.affine}")
    return took


def cafrnet_tool(bench: Bench, engine: str) -> dict:
    out = bench.work / f"cafrnet_{engine}"
    words = ["segment", bench.scan, "-o", out, "--engine", engine, "--threads", bench.threads, "--overwrite"]
    words += ["-q", *(["--model", bench.model] if bench.model else [])]
    took = must(entry_point(sys.executable, "cafrnet.cli.main:main", words, bench.variables))
    record = json.loads((out / "scan.json").read_text(encoding="utf-8"))
    took |= {"network_s": record["timings_s"]["model"]}
    return checked(took, bench.scan, out / "scan_seg.nii.gz")


def script_tool(bench: Bench, name: str, more: Sequence[object] = ()) -> dict:
    made = bench.work / name / "seg.nii.gz"
    fresh(made.parent)
    words = [name, bench.scan, bench.work / f"{name}.pt", made, bench.threads, *more]
    took = must(entry_point(bench.torch_python, "peers_torch:main", words, bench.variables))
    return checked(took, bench.scan, made)


def nnunet_tool(bench: Bench, *more: object) -> dict:
    made = fresh(bench.work / "nnunet")
    words = ["-i", bench.work / "given", "-o", made, "-d", DATASET_ID, "-c", CONFIGURATION, "-f", 0]
    words += ["-device", "cpu", "--disable_progress_bar", *more]
    entry = "nnunetv2.inference.predict_from_raw_data:predict_entry_point"
    took = must(entry_point(bench.package.python, entry, words, bench.nnunet_variables()))
    return checked(took, bench.scan, made / "scan.nii.gz")


def nnunet_network(bench: Bench) -> dict:
    answer = bench.work / "answer.json"
    words = ["network", bench.model_folder, bench.work / "given" / "scan_0000.nii.gz", bench.threads, answer]
    took = must(entry_point(bench.package.python, "peers_nnunet:main", words, bench.nnunet_variables()))
    return took | json.loads(answer.read_text(encoding="utf-8"))


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def tools(bench: Bench, engines: Sequence[str], rounds: int, slow: int, pixel_mm: float) -> dict[str, Tool]:
    found = {
        OURS if e == engines[0] else f"{OURS}_{e}": Tool(
            f"cafrnet segment, {e}", lambda e=e: cafrnet_tool(bench, e), rounds
        )
        for e in engines
    }
    found["unet"] = Tool("bare U-Net script, 256 x 256", lambda: script_tool(bench, "unet"), rounds)
    found["sliding"] = Tool(
        f"MONAI sliding window, 256 x 256 of {pixel_mm:.3f} mm, overlap 0.25",
        lambda: script_tool(bench, "sliding", [pixel_mm]), slow,
    )  # fmt: skip
    if bench.package:
        patch = " x ".join(map(str, bench.plan["patch_size"]))
        name = f"nnU-Net 2D as planned ({patch})"
        for key, label, *more in NNUNET:
            found[key] = Tool(f"{name}, {label}", lambda more=more: nnunet_tool(bench, *more), slow)
        found["nnunet_network"] = Tool(
            "nnU-Net, network alone", lambda: nnunet_network(bench), slow, whole=False
        )
    return found


def order(rounds: Mapping[str, int], runs: Runs) -> Iterator[tuple[int, str]]:
    """Yield what is still to be done: round by round, each starting with another tool."""
    names = list(rounds)
    for k in range(max(rounds.values())):
        turn = k % len(names)
        for name in [*names[turn:], *names[:turn]]:
            if k < rounds[name] and all(run["round"] != k for run in runs.get(name, [])):
                yield k, name


def measure(found: Mapping[str, Tool], runs: Runs, path: Path, kept: dict, minutes: float) -> bool:
    """Do what is to be done within the time; returns whether all of it is done."""
    end = monotonic() + 60 * minutes
    for k, name in order({name: tool.rounds for name, tool in found.items()}, runs):
        known = [run["wall_s"] for run in runs.get(name, [])]
        if monotonic() + max(known, default=0) > end:
            print(f"time is over before round {k} of {name}; the same command goes on", file=sys.stderr)
            return False
        took = found[name].run()
        runs.setdefault(name, []).append({"round": k, **took})
        write_json(path, {**kept, "runs": runs})
        print(f"round {k}, {name}: {took['wall_s']:.2f} s, {took['peak_mb']:.0f} MB", file=sys.stderr)
    return True


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def times(theirs: Sequence[dict], ours: Sequence[dict], key: str) -> dict[str, float] | None:
    """Return how many times ours another tool takes, in the rounds that both took part in."""
    mine = {run["round"]: run[key] for run in ours}
    found = [run[key] / mine[run["round"]] for run in theirs if run["round"] in mine]
    return spread(found) if found else None


def shown(value: Mapping[str, float] | None, digits: int) -> str | None:
    if value is None:
        return None
    return "{median:.{d}f} ({least:.{d}f} to {most:.{d}f})".format(**value, d=digits)


def report(labels: Mapping[str, tuple[str, bool]], runs: Runs) -> tuple[dict, str]:
    """Return figures and Markdown of runs. Labels: name -> label, whether it is a whole command."""
    rows, figures, parts = [], {}, []
    for name, (label, whole) in labels.items():
        if not (done := runs.get(name)):
            continue
        figures[name] = {"label": label, "runs": len(done)}
        for key in ("wall_s", "cpu_s", "peak_mb", *(["network_s"] if "network_s" in done[0] else [])):
            figures[name][key] = spread([run[key] for run in done])
        for key in ("wall_s", "network_s"):
            if key in done[0]:
                figures[name][f"times_ours_{key}"] = times(done, runs[OURS], key)
        f = figures[name]
        if whole:
            cells = [shown(f["wall_s"], 2), shown(f["cpu_s"], 1), f"{f['peak_mb']['median']:.0f}", len(done)]
            rows.append([label, *cells, shown(f["times_ours_wall_s"], 1)])
        if "network_s" in f:
            parts.append([label, shown(f["network_s"], 2), shown(f["times_ours_network_s"], 1)])
    head = ["whole command", "seconds", "CPU seconds", "peak MB", "runs", "times cafrnet"]
    text = table(head, rows)
    if parts:
        text += "\n\n" + table(["network alone, one scan", "seconds", "times cafrnet"], parts)
    if "nnunet" in figures:
        ratio = figures["nnunet"]["times_ours_wall_s"]["median"]
        verdict = "reached" if ratio >= AIM else "not reached"
        text += (
            f"\n\nAim, {AIM} times faster than nnU-Net as planned without mirroring: {verdict} ({ratio:.2f})."
        )
    return figures, text + "\n\nMedians of the rounds, least to most in brackets; peaks are medians.\n"


def bind(threads: int) -> dict[str, str]:
    """Bind this process and its children to as many cores; return the variables of the children."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    if len(cores) < threads:
        raise SystemExit(f"{threads} threads were asked for, {len(cores)} cores are there")
    os.sched_setaffinity(0, cores)
    own = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, **{name: str(threads) for name in names}, "PYTHONPATH": str(HERE)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
    parser.add_argument("--data", metavar="DIR", type=Path, help="what nnU-Net plans on")
    parser.add_argument(
        "--nnunet-python", metavar="FILE", help="of its environment; without it, no such rows"
    )
    parser.add_argument("--torch-python", metavar="FILE", default=sys.executable)
    parser.add_argument("--model", metavar="RUN|BUNDLE", help="default: the one that ships")
    parser.add_argument("--engines", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--tools", nargs="+", metavar="NAME", help="only these, beside cafrnet: nnunet ...")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=3, help="of MONAI and nnU-Net")
    parser.add_argument("--pixel-mm", type=float, help="MONAI's (default: nnU-Net's plan, else 0.47)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start nothing that ends later")
    parser.add_argument("--prepare", action="store_true", help="time nothing")
    args = parser.parse_args()
    variables = bind(args.threads)
    package = Package.find(args.nnunet_python, TRAINER) if args.nnunet_python else None
    bench = Bench(
        args.output.resolve() / "work", args.threads, args.model, args.torch_python, package, variables
    )
    prepare(bench, args.data)
    if args.prepare:
        return
    pixel_mm = args.pixel_mm or (bench.plan["spacing"][-1] if package else 0.47)
    found = tools(bench, args.engines, args.rounds, args.slow_rounds, pixel_mm)
    if unknown := set(args.tools or ()) - set(found):
        raise SystemExit(f"--tools {' '.join(sorted(unknown))}: one of {', '.join(found)} was expected")
    found = {name: tool for name, tool in found.items() if not args.tools or name in {OURS, *args.tools}}
    nnunet = package.versions if package else None
    model = sha256(Path(args.model or DEFAULT) / "model.onnx")
    kept = about(PACKAGES, threads=args.threads, nnunet=nnunet, pixel_mm=pixel_mm, model=model)
    path = args.output / "runs.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {**kept, "runs": {}}
    for key in ("versions", "threads", "nnunet", "pixel_mm", "model", "processor"):
        if before[key] != kept[key]:
            raise SystemExit(f"{path} was measured with other {key}: {before[key]}; choose another folder")
    done = measure(found, before["runs"], path, kept | {"date": before["date"]}, args.minutes)
    figures, text = report({name: (tool.label, tool.whole) for name, tool in found.items()}, before["runs"])
    write_json(args.output / "peers.json", {**before, "complete": done, "tools": figures})
    write_text(args.output / "peers.md", text)
    print(text)


if __name__ == "__main__":
    main()
