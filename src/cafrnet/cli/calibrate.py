"""``cafrnet calibrate``: measure how far a run's probabilities can be trusted, and keep it with the model."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..anatomy.prices import NamingModel


def add_parser(subparsers: Any) -> None:
    """Add ``calibrate`` to the command line."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit a run's confidence and triage on validation cases",
        description=(
            "Fits the naming of levels, temperatures, predicted Dice and triage thresholds on the "
            "validation cases of a split, stores them in RUN/model.onnx and writes RUN/calibration/. Needs "
            "the train extra."
        ),
    )
    parser.add_argument("run", metavar="RUN", help="folder written by `cafrnet train`")
    parser.add_argument("--data", required=True, metavar="DIR", help="labelled dataset")
    parser.add_argument(
        "--split", required=True, metavar="FILE", help="split.json that the run was trained with"
    )
    parser.add_argument("--fold", type=int, metavar="K", help="which fold was tested, for a split into folds")
    parser.add_argument("--seed", type=int, default=0, help="of crops, degradations and phantoms (0)")
    parser.add_argument("--crops", type=int, default=20, metavar="N", help="of each validation case (20)")
    parser.add_argument("--degraded", type=int, default=6, metavar="N", help="of each validation case (6)")
    parser.add_argument(
        "--no-offsets",
        dest="offsets",
        action="store_false",
        help="leave the borders of all kinds where they are",
    )
    parser.add_argument(
        "--phantoms",
        type=int,
        default=0,
        metavar="N",
        help="also known to the model (0); if it learnt from them",
    )
    parser.add_argument(
        "--naming",
        metavar="FILE",
        help="naming.json fitted before; default: fitted here, with the same crops",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one inference (default: all)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Calibrate and report.

    Raises:
        UsageError: a bundle, a split that does not fit, a negative number. InputError: a case can't be used.
    """
    import numpy as np

    from ..errors import UsageError
    from ..files import write_json

    if min(args.crops, args.degraded, args.phantoms) < 0:
        raise UsageError("--crops, --degraded and --phantoms take numbers from 0")
    from ..bundles.layout import is_bundle
    from ..datasets import Split, open_dataset
    from ..inference import load_model
    from ..inference.calibration import Calibration
    from ..learning.calibration import Budget, calibrate, store, write_report  # needs the train extra
    from ..learning.calibration.calibrate import PHANTOM
    from ..learning.calibration.naming import fit_naming
    from ..learning.calibration.offsets import fit_offsets
    from ..phantom import make_phantom

    folder = Path(args.run)
    if is_bundle(folder):
        raise UsageError(f"{folder} is a bundle, which is never changed; calibrate its run")
    dataset = open_dataset(args.data)
    split = Split.load(args.split, dataset)
    parts = split.parts(args.fold)
    model = load_model(folder, threads=args.threads)
    validation, training = dataset.select(parts["val"]), dataset.select(parts["train"])
    tell = None if args.quiet else lambda text: print(text, file=sys.stderr)
    offsets = {}
    if args.offsets:
        rng = np.random.default_rng([args.seed, 2])
        offsets = fit_offsets(model, validation, [make_phantom(rng, PHANTOM) for _ in range(args.phantoms)])
        if tell:
            tell("offsets of kinds: " + (", ".join(f"{k} {b:+.2f}" for k, b in offsets.items()) or "none"))
    model = replace(model, calibration=Calibration(offsets=offsets))
    if args.naming is not None:
        naming = _read_naming(args.naming)
    else:
        if tell:
            tell(f"naming of levels: {len(training)} training and {len(validation)} validation cases")
        rng = np.random.default_rng([args.seed, 1])
        naming = fit_naming(model, validation, training, rng, crops=args.crops)
    report = calibrate(
        replace(model, naming=naming),
        validation,
        training,
        seed=args.seed,
        budget=Budget(args.crops, args.degraded, args.phantoms),
        about={"dataset": dataset.name, "split": split.hash, "fold": args.fold},
        progress=tell,
    )
    store(folder, report.calibration, naming)
    write_report(report, folder / "calibration")
    write_json(folder / "calibration" / "naming.json", naming.to_dict())
    print(json.dumps(report.calibration.to_dict(), indent=2) if args.json else _words(report.summary))
    return 0


def _read_naming(path: str) -> NamingModel:
    from ..anatomy.prices import NamingModel
    from ..errors import UsageError

    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} could not be read ({error}); a naming.json was expected") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{path} holds a {type(raw).__name__}, a table was expected")
    return NamingModel.from_dict(raw, path)


def _words(summary: dict[str, Any]) -> str:
    ece = summary["ece"]
    lines = [f"ECE of voxels near structures: {ece['before']:.4f} as it comes, {ece['after']:.4f} calibrated"]
    for kind, row in summary["predicted_dice"].items():
        lines.append(
            f"predicted Dice, {kind}: mean error {row['mae']}, correlation {row['r']}, "
            f"{row['structures']} structures"
        )
    for kind, row in summary["triage"].items():
        lines.append(
            f"triage, {kind}: {row['scans']} scans, {row['wrong']} with a wrong level; "
            f"passed {row['passed']}, of these wrong {row['wrong_among_passed']}"
        )
    return "\n".join(lines)
