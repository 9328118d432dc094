"""What happens beside training: the journal, the best weights, early stopping after a warm-up, timing."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from safetensors.torch import save

from ...files import whole_file, write_text
from .module import TrainingModule

#: Columns of ``journal.csv``; the seconds are sums over the epoch's steps.
COLUMNS = (
    "epoch",
    "step",
    "lr",
    "loss",
    "loss_dice",
    "loss_ce",
    "loss_clr",
    "train_dice",
    "val_dice",
    "data_s",
    "forward_s",
    "backward_s",
    "step_s",
    "epoch_s",
)


class StepTimer(L.Callback):
    """Split the time of a step into data (reading and augmentation), forward and backward.

    The rest of ``step_s`` is the optimiser and Lightning itself. On a GPU, which works on while the next
    thing is asked for, only ``step_s`` summed over an epoch means anything.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("data_s", "forward_s", "backward_s", "step_s", "epoch_s"), 0.0)

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the epoch's clock."""
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        self._epoch = self._mark = time.perf_counter()

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self._mark
        self._mark = now

    def on_train_batch_start(self, *_: Any) -> None:
        """The batch has come."""
        self._lap("data_s")
        self._start = time.perf_counter()

    def on_before_backward(self, *_: Any) -> None:
        """The loss is there."""
        self._lap("forward_s")

    def on_after_backward(self, *_: Any) -> None:
        """The gradients are there."""
        self._lap("backward_s")

    def on_train_batch_end(self, *_: Any) -> None:
        """The weights are new."""
        self._mark = time.perf_counter()
        self.seconds["step_s"] += self._mark - self._start

    def on_validation_start(self, *_: Any) -> None:
        """Stop the epoch's clock."""
        if hasattr(self, "_epoch"):
            self.seconds["epoch_s"] = time.perf_counter() - self._epoch

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop it here after an epoch without validation."""
        self.seconds["epoch_s"] = self.seconds["epoch_s"] or time.perf_counter() - self._epoch


class Journal(L.Callback):
    """One row per epoch in ``journal.csv``, and the chosen weights in ``best.safetensors``.

    Chosen are those of the best validation Dice so far, or with ``training.select: last`` always the newest.

    Both are written whole or not at all. A resumed run keeps the rows of the epochs that it does not repeat.
    """

    def __init__(self, run: Path, timer: StepTimer) -> None:
        self.run, self.timer = run, timer
        self.rows: list[dict[str, Any]] = read_journal(run / "journal.csv")

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Drop rows of epochs that will be trained again."""
        self.rows = [r for r in self.rows if int(r["epoch"]) < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the row, and the weights if they are the best so far."""
        assert isinstance(module, TrainingModule)
        # The module's own values are asked for: Lightning logs them only after the callbacks of this hook.
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()} | module.epoch_means()
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row |= {c: f"{metrics[c]:.6g}" for c in COLUMNS if c in metrics}
        row |= {c: f"{v:.3f}" for c, v in self.timer.seconds.items()}
        if not module.validated:
            row["val_dice"] = ""
        if not trainer.is_global_zero:  # its values are those of all, and one journal is enough
            return
        best = max((float(r["val_dice"]) for r in self.rows if r.get("val_dice")), default=-1.0)
        last = module.recipe.training.select == "last"
        if last or (module.validated and metrics["val_dice"] > best):
            # copies: a tensor that has two names in its network (DynUNet) is refused otherwise
            state = {k: v.cpu().contiguous().clone() for k, v in module.candidate().state_dict().items()}
            with whole_file(self.run / "best.safetensors") as temporary:
                # not save_file: its files can be read by their owner alone
                temporary.write_bytes(save(state, metadata={"epoch": str(trainer.current_epoch)}))
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.run / "journal.csv", text.getvalue())


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a journal; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class PatientStopping(EarlyStopping):
    """Early stopping on the validation Dice that starts counting after a share of the schedule.

    Args:
        patience: epochs without a better score.
        first_epoch: epochs before this one do not count.
    """

    def __init__(self, patience: int, first_epoch: int) -> None:
        super().__init__("val_dice", mode="max", patience=patience, check_on_train_epoch_end=True)
        self.first_epoch = first_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count an epoch."""
        if trainer.current_epoch >= self.first_epoch:
            super().on_train_epoch_end(trainer, pl_module)
