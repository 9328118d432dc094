"""Many scans: rate against scans at once, memory against their number, and what a thousand cost.

    python benchmarks/bulk.py rate --scans DIR -o OUT [--model RUN]    # at once 1, 2, 4, 6; then Ray
    python benchmarks/bulk.py memory -o OUT                            # 100, 1000, 10000 tiny scans
    python benchmarks/bulk.py memory --counts 100 400 -o OUT
    python benchmarks/bulk.py corrupt --count 10000 -o OUT             # one corrupt scan in their middle
    python benchmarks/bulk.py same --model RUN -o OUT                  # does the batch change the logits?

`rate` runs `cafrnet segment` in processes of its own, in turns, so that other work on the machine falls on
all settings alike. A rate is taken from the journal between the first and the last scan to end, so start-up
is apart. `memory` makes scans of one slice of 48 x 32 and a network of one 1 x 1 convolution (the `train`
extra writes it), so that the scans' number is all that could make memory grow. `corrupt` cuts the scan in
their middle short and runs the command, then runs it again, then mends the scan and runs it a third time;
it ends with an error unless exit codes, journal and files are what they should be. All write Markdown and
JSON into OUT, with machine, versions and the load of the machine while they ran.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
from datetime import datetime
from pathlib import Path

import nibabel as nib
import numpy as np
from child import cafrnet, must

from cafrnet import __version__
from cafrnet.files import write_json, write_text
from cafrnet.inference import load_model
from cafrnet.inference.bulk.journal import read_journal
from cafrnet.inference.inputs import plan_jobs


def machine() -> dict[str, object]:
    """What the figures depend on, and how busy it was."""
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu": platform.machine(), "cores": cores, "python": platform.python_version(),
        "cafrnet": __version__, "load_1_min_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def segment(words: list[object], out: Path) -> dict[str, float]:
    """Run the command; return wall and CPU seconds, peak memory, and seconds per scan once it runs."""
    done = must(["segment", *words, "-o", out, "-q"])
    ends = [datetime.fromisoformat(line["time"]).timestamp() for line in read_journal(out / "journal.jsonl")]
    return {
        "scans": len(ends),
        "wall_s": done.wall_s,
        "cpu_s": done.cpu_s,
        "peak_mb": done.peak_mb,
        "each_s": (max(ends) - min(ends)) / (len(ends) - 1),
    }


def rate(args: argparse.Namespace) -> tuple[dict, list[str]]:
    """Seconds per scan for several numbers of scans at once, and for Ray."""
    settings: dict[str, list[object]] = {f"{n} at once": ["--at-once", n] for n in args.at_once}
    for n in args.ray_actors:
        settings[f"Ray, {n} actors"] = ["--ray", "--ray-actors", n]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        scans = [job.source for job in plan_jobs([args.scans], folder)][: args.limit]
        for turn in range(args.repeat):
            for name, words in settings.items():
                out = Path(folder, f"{name} {turn}")
                ready = [*scans, "--model", args.model, "--engine", args.engine, *words]
                runs[name].append(segment(ready, out))
                shutil.rmtree(out)
    shape = list(nib.load(scans[0]).shape) if scans[0].name.endswith((".nii", ".nii.gz")) else None
    median = {n: {k: statistics.median(r[k] for r in done) for k in done[0]} for n, done in runs.items()}
    base = next(iter(median.values()))["each_s"]
    lines = [
        f"{len(scans)} scans (the first has shape {shape}), engine {args.engine}, medians of {args.repeat} "
        "runs in turns.",
        "",
        "| setting | s per scan | times the first | CPU s per scan | peak MB | start-up and end, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, m in median.items():
        on_ray = name.startswith("Ray")  # whose workers are no children of the command
        cpu = "-" if on_ray else f"{m['cpu_s'] / m['scans']:.2f}"
        peak = "-" if on_ray else f"{m['peak_mb']:.0f}"
        lines.append(
            f"| {name} | {m['each_s']:.2f} | {base / m['each_s']:.2f} | {cpu} | {peak} "
            f"| {m['wall_s'] - m['each_s'] * m['scans']:.1f} |"
        )
    return {"scans": len(scans), "shape": shape, "engine": args.engine, "runs": runs, "median": median}, lines


def memory(args: argparse.Namespace) -> tuple[dict, list[str]]:
    """Peak memory against the number of scans."""
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder, "model"))
        source = Path(folder, "in")
        for count in sorted(args.counts):
            for k in range(len(list(source.glob("*"))) if source.exists() else 0, count):
                tiny_scan(source / f"{k:06}.nii.gz", k)
            out = Path(folder, f"out{count}")
            words = [source, "--model", model, "--threads", 1]
            runs[count] = segment(words, out)
            files = sum(1 for _ in out.iterdir())
            if files != 3 * count + 1:
                raise SystemExit(f"{files} files came of {count} scans, {3 * count + 1} were expected")
            shutil.rmtree(out)
    lines = ["| scans | peak MB | scans a second |", "|---|---|---|"]
    lines += [f"| {n} | {r['peak_mb']:.0f} | {1 / r['each_s']:.1f} |" for n, r in runs.items()]
    return {"runs": runs}, lines


def corrupt(args: argparse.Namespace) -> tuple[dict, list[str]]:
    """Many tiny scans, the one in the middle cut short: what is left, and how long a second look takes."""
    count, bad = args.count, f"{args.count // 2:06}"
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        for k in range(count):
            tiny_scan(source / f"{k:06}.nii.gz", k)
        broken = source / f"{bad}.nii.gz"
        broken.write_bytes(broken.read_bytes()[:100])
        words = ["segment", source, "-o", out, "--model", tiny_model(Path(folder, "model"))]
        words += ["--threads", 1, "--engine", "onnxruntime", "-q"]
        runs, journal = {}, out / "journal.jsonl"
        for name in ("first run", "the same again", "the scan mended"):
            if name == "the scan mended":
                tiny_scan(broken, count // 2)
            before = len(read_journal(journal)) if journal.exists() else 0
            done = cafrnet(words)
            statuses = [line["status"] for line in read_journal(journal)[before:]]
            told = {s: statuses.count(s) for s in ("done", "skipped", "failed")}
            runs[name] = {**vars(done), **told, "files": sum(1 for _ in out.rglob("*"))}
    expected = {
        "first run": (1, count - 1, 0, 1, 3 * count - 2),
        "the same again": (1, 0, count - 1, 1, 3 * count - 2),
        "the scan mended": (0, 1, count - 1, 0, 3 * count + 1),
    }
    for name, run in runs.items():
        came = tuple(run[key] for key in ("code", "done", "skipped", "failed", "files"))
        if came != expected[name] or (
            run["code"] and f"{bad}.nii.gz is damaged or cut short" not in run["said"]
        ):
            raise SystemExit(f"{name}: {came} came, {expected[name]} was expected; it said: {run['said']}")
    keys = ("code", "done", "skipped", "failed")
    lines = [
        f"{count} scans of one slice of 48 x 32, number {bad} cut short.",
        "",
        "| run | exit code | done | finished before | failed | wall s | CPU s | ms of CPU a scan | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {' | '.join(str(run[key]) for key in keys)} | {run['wall_s']:.0f} | {run['cpu_s']:.1f} "
        f"| {1e3 * run['cpu_s'] / count:.2f} | {run['peak_mb']:.0f} |"
        for name, run in runs.items()
    ]
    return {"count": count, "corrupt": bad, "runs": runs}, lines


def same(args: argparse.Namespace) -> tuple[dict, list[str]]:
    """Whether the logits of a slice depend on the slices that go through the network with it."""
    model = load_model(args.model, engine=args.engine)
    size = model.preprocessing.size
    images = np.random.default_rng(0).random((12, 1, size, size), np.float32)
    alone = np.concatenate([model.engine(images[k : k + 1]) for k in range(12)])
    found = {}
    for n in (2, 3, 4, 6, 8, 12):
        logits = np.concatenate([model.engine(images[k : k + n]) for k in range(0, 12, n)])
        found[n] = float(abs(logits - alone).max())
    lines = [
        f"12 slices of noise (seed 0), {model.engine.name}: largest difference of a logit to those alone.",
        "",
        "| slices together | difference |",
        "|---|---|",
        *(f"| {n} | {difference:g} |" for n, difference in found.items()),
    ]
    return {"model": model.hashes, "difference": found}, lines


def tiny_scan(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((32, 48, 1), 20, np.int16)
    image[8 + seed % 8 : 20, 10 : 20 + seed % 16] = 250  # hardly two alike, and quickly drawn
    image[0, 0] = seed % 200
    nib.save(
        nib.Nifti1Image(image, np.array([[0, 0, 4, 0], [-2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1.0]])), path
    )


def tiny_model(folder: Path) -> Path:
    """A run whose network calls everything background but the brightest pixels."""
    import onnx

    from cafrnet.labels import TABLE
    from cafrnet.preprocessing import Preprocessing

    size, classes = 64, 22
    weight, bias = np.zeros((classes, 1, 1, 1), np.float32), np.full(classes, -9, np.float32)
    weight[2], bias[2], bias[0] = 10.0, -9.0, 0.0
    image, logits = (
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", c, size, size])
        for n, c in (("image", 1), ("logits", classes))
    )
    nodes = [onnx.helper.make_node("Conv", ["image", "w", "b"], ["logits"])]
    values = [onnx.numpy_helper.from_array(weight, "w"), onnx.numpy_helper.from_array(bias, "b")]
    graph = onnx.helper.make_graph(nodes, "tiny", [image], [logits], values)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    settings = Preprocessing(pixel_mm=2.0, size=size, contrast="none")
    entries = {
        "label_table": TABLE.version, "num_classes": classes, "trained": list(range(classes)),
        "preprocessing": settings.to_dict(),
    }  # fmt: skip
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"cafrnet.{key}", json.dumps(value)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    settings.save(folder / "preprocessing.json")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="what", required=True)
    one = verbs.add_parser("rate")
    one.add_argument("--model", default="default")
    one.add_argument("--engine", default="onnxruntime")
    one.add_argument("--scans", required=True)
    one.add_argument("--limit", type=int, default=12)
    one.add_argument("--repeat", type=int, default=3)
    one.add_argument("--at-once", type=int, nargs="*", default=[1, 2, 4, 6])
    one.add_argument("--ray-actors", type=int, nargs="*", default=[])
    two = verbs.add_parser("memory")
    two.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10_000])
    four = verbs.add_parser("corrupt")
    four.add_argument("--count", type=int, default=10_000)
    three = verbs.add_parser("same")
    three.add_argument("--model", required=True)
    three.add_argument("--engine", default="auto")
    for verb in (one, two, three, four):
        verb.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    here = machine()
    verb = {"rate": rate, "memory": memory, "same": same, "corrupt": corrupt}[args.what]
    figures, lines = verb(args)
    here["load_1_min_after"] = round(os.getloadavg()[0], 1)
    write_json(args.output / f"bulk_{args.what}.json", {"machine": here, **figures})
    text = "\n".join([*lines, "", f"Machine: {here}", ""])
    write_text(args.output / f"bulk_{args.what}.md", text)
    print(text)


if __name__ == "__main__":
    main()
