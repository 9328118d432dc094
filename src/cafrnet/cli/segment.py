"""``cafrnet segment``: scans in, named label maps, previews and records out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bulk_options import add_bulk_options, ray_options
from .outcomes import conclude
from .progress import Progress
from .scheme_option import add_labels_option

if TYPE_CHECKING:
    from ..inference import Model, Outcome
    from ..inference.batch import Workers
    from ..inference.bulk.ray_data import RayOptions
    from ..inference.inputs import Job


def add_parser(subparsers: Any) -> None:
    """Add ``segment`` to the command line."""
    parser = subparsers.add_parser(
        "segment",
        help="find and name the structures in scans",
        description="Writes OUT/<stem>_seg.nii.gz, <stem>_preview.png and <stem>.json for every scan. Reads "
        "NIfTI, DICOM folders and enhanced DICOM files, PNG with --pixel-mm, and MHA and NRRD with the extra "
        "'itk'. Without --model, the model that ships with cafrnet is used.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="file, folder, DICOM folder or glob")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="folder, or x.nii.gz for one scan"
    )
    parser.add_argument(
        "--model",
        metavar="RUN|BUNDLE",
        action="append",
        default=[],
        help="folder with model.onnx, or a bundle's name (see cafrnet bundle list); several, or a folder of "
        "folds, answer together (mean probability)",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: mirrored front to back and scaled too; 4 times the time",
    )
    parser.add_argument(
        "--without",
        metavar="STEP",
        action="append",
        default=[],
        help="leave out a step of post-processing: kinds, offsets, blend, split, join, fragments, sequence, "
        "sacrum, or all",
    )
    parser.add_argument(
        "--series", default="auto", metavar="UID|auto", help="which series of a DICOM folder (auto)"
    )
    add_labels_option(parser, "the written values")
    parser.add_argument("--pixel-mm", type=float, metavar="MM", help="pixel size of PNG inputs")
    parser.add_argument(
        "--overwrite", action="store_true", help="do finished scans again; replace others' files"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of one inference (default: all cores)"
    )
    parser.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="auto, onnxruntime, openvino, openvino-gpu or cuda (auto: cuda where ONNX Runtime has it, else "
        "onnxruntime; openvino for a model.xml)",
    )
    parser.add_argument(
        "--max-memory",
        type=float,
        metavar="MB",
        help="of the whole process; fewer slices at once, one scan after the other (Linux)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every outcome")
    add_bulk_options(parser)


def run(args: argparse.Namespace) -> int:
    """Segment and report; 1 if a scan failed or was left, 2 if all of them lack an option."""
    if args.threads:  # matrix products of NumPy too; it looks when it is imported
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(args.threads))
    from ..inference.batch import Workers
    from ..inference.bulk.parts import journal_name, share
    from ..inference.inputs import check_writable, plan_jobs
    from ..labels import get_scheme

    get_scheme(args.labels)
    at_once = 1 if args.max_memory is not None and args.at_once is None else args.at_once
    workers, on_ray = Workers.default(at_once), ray_options(args)
    jobs = plan_jobs(args.inputs, args.output, png=args.pixel_mm is not None)
    _refuse_idle_options(args, jobs)
    mine = share(jobs, args.num_parts, args.part)
    check_writable(mine)
    journal = Path(args.output) / journal_name(args.num_parts, args.part) if len(jobs) > 1 else None
    if not mine:
        count = f"part {args.part} of {args.num_parts} has no scans (there are {len(jobs)})"
        print(f"cafrnet: {count}", file=sys.stderr)
    outcomes = _segment(args, mine, journal, workers, on_ray) if mine else []
    failed = sum(o.status == "failed" for o in outcomes)
    if args.json:
        rows = [
            {
                "input": str(o.job.source),
                "status": o.status,
                "labels": str(o.job.labels) if o.status in ("done", "skipped") else None,
                "message": o.message,
                **_triage(o),
            }
            for o in outcomes
        ]
        left = sum(o.status == "left" for o in outcomes)
        print(json.dumps({"cases": rows, "failed": failed, "left": left}, indent=2))
    else:
        for o in outcomes:
            if o.status in ("done", "skipped"):
                print(o.job.labels)
    return conclude(outcomes, "scans")


def _refuse_idle_options(args: argparse.Namespace, jobs: list[Job]) -> None:
    """Raise UsageError for an option that no input can heed."""
    from ..errors import UsageError
    from ..scan.formats import is_dicom

    files = [job.source for job in jobs if job.source.is_file()]
    if len(files) < len(jobs):
        return  # a DICOM folder, or something missing that the reader will name
    if args.series != "auto" and not any(map(is_dicom, files)):
        raise UsageError(f"--series {args.series} came, and no input is DICOM; leave it out")
    if args.pixel_mm is not None and not any(file.suffix.lower() == ".png" for file in files):
        raise UsageError(f"--pixel-mm {args.pixel_mm:g} came, and no input is a PNG; leave it out")


def _segment(
    args: argparse.Namespace,
    jobs: list[Job],
    journal: Path | None,
    workers: Workers,
    on_ray: RayOptions | None,
) -> list[Outcome]:
    """Segment here or on many machines."""
    from ..errors import InputError, UsageError
    from ..inference import segment_files

    progress = Progress(args.quiet)

    def told(number: int, count: int, outcome: Outcome) -> None:
        if count > 1 or outcome.status != "failed":
            text = outcome.message if outcome.status == "failed" else str(outcome.job.labels)
            said = _triage(outcome)
            if said["triage"] not in (None, "pass"):
                text += f" ({said['triage']}: {said['reasons'][0]})"
            progress.line(number, count, outcome, text)

    options = {
        "series": args.series,
        "pixel_mm": args.pixel_mm,
        "labels": args.labels,
        "overwrite": args.overwrite,
        "journal": journal,
        "progress": told,
    }
    threads = on_ray.threads if on_ray and args.threads is None else args.threads
    compute = {"threads": threads, "engine": args.engine, "max_memory_mb": args.max_memory}
    models = [os.path.abspath(m) if on_ray and os.path.exists(m) else m for m in args.model]
    load = partial(_load, models, compute, args.tta, args.without)
    try:
        model = load()
    except InputError as error:
        raise UsageError(str(error)) from error  # without a model nothing could start
    if on_ray is None:
        return segment_files(jobs, model, workers=workers, **options)
    from ..inference.bulk.ray_data import segment_on_ray

    del model  # it was a check; every worker loads its own
    return segment_on_ray(jobs, load, on_ray, at_once=1 if args.at_once is None else args.at_once, **options)


def _triage(outcome: Outcome) -> dict[str, Any]:
    """Return what the record of a finished case says about triage; None for any other."""
    from ..inference.record import read_record

    done = outcome.status in ("done", "skipped")
    record = (read_record(outcome.job.record) if done else None) or {}
    return {"triage": record.get("triage"), "reasons": record.get("reasons", [])}


def _load(models: list[str], compute: dict[str, Any], tta: bool, without: list[str]) -> Model:
    """Load the model; in every worker, where there are several."""
    from ..anatomy import NamingOptions
    from ..inference.ensemble import load_models
    from ..inference.memory import keep_freed
    from ..inference.views import with_views

    if compute["max_memory_mb"] is None:  # a limit wants all that is free given back
        keep_freed()
    steps = NamingOptions.without(*without)
    model = replace(load_models(models, **compute), postprocessing=steps)
    return with_views(model) if tta else model
