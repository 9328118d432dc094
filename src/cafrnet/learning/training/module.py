"""The Lightning module: one network, the objective of Eq. 10, the schedule of Table 1."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...errors import UsageError
from ...labels import ValueSets
from ..codes import TruthCodes
from ..data import Batch, Draws, PreparedCase, TrainingBatches
from ..losses import ClrSettings, contrast, cross_entropy, dice_loss
from ..models import build_model, normal_output
from ..ranks import collected
from ..recipes.schema import Recipe
from ..types import Image, Logits, Output
from .score import case_dice

#: Logit of a class that was not trained. Finite, so that interpolating logits never gives NaN.
NOT_TRAINED = -1.0e4
#: Share of background pixels that the class biases start from.
BACKGROUND_SHARE = 0.95
#: Steps from one look at the loss to the next, to stop where it is no number (a look waits for a GPU).
CHECK_EVERY = 10
#: Training Dice is counted on every fifth step: on a CPU the argmax would cost a tenth of the step.
COUNT_EVERY = 5


class Segmenter(nn.Module):
    """A network whose untrained classes can't win, and whose classes start from their share of the pixels.

    Args:
        network: image [B, 1, H, W] -> tensor or :class:`Output`.
        trained: [classes] bool.

    Shapes: image [B, 1, H, W] -> :class:`Output`; logits of untrained classes are -10000.

    Decided beyond the paper: a learnt bias per class on top of every network's logits starts at the
    background's share of the pixels (as Lin et al. 2017 do for rare foreground), because a narrow head takes
    hundreds of steps to learn it at Table 1's learning rate. It stands here, not in a network, so that every
    network of a comparison starts alike.
    """

    trained: Tensor

    def __init__(self, network: nn.Module, trained: np.ndarray) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("trained", torch.from_numpy(np.asarray(trained, bool)))
        prior = torch.zeros(len(trained))
        prior[0] = math.log(BACKGROUND_SHARE / (1 - BACKGROUND_SHARE) * max(1, len(trained) - 1))
        self.prior = nn.Parameter(prior)

    def forward(self, image: Image) -> Output:
        """Return logits and embeddings."""
        logits, embeddings = normal_output(self.network(image))
        logits = logits + self.prior[:, None, None]
        return Output(logits.masked_fill(~self.trained[:, None, None], NOT_TRAINED), embeddings)


def _uses_clr(recipe: Recipe) -> bool:
    return recipe.clr.enabled and recipe.loss.clr > 0


def network_for(recipe: Recipe) -> nn.Module:
    """Return the recipe's network with new weights."""
    return build_model(
        recipe.model, num_classes=recipe.num_classes, clr=_uses_clr(recipe), args=recipe.model_args
    )


def projections_for(settings: ClrSettings, channels: dict[str, int]) -> nn.ModuleDict:
    """Return one projection MLP per map (Sect. 3.3: "each feature is projected by an MLP").

    Raises:
        UsageError: the network hands out no such map.
    """
    if missing := [name for name in settings.maps if name not in channels]:
        raise UsageError(
            f"CLR needs the feature maps {', '.join(missing)}; the network hands out "
            f"{', '.join(channels) or 'none'}. Train it with clr=false, or name other clr.maps"
        )
    return nn.ModuleDict(
        {
            name.replace("/", "_"): nn.Sequential(
                nn.Linear(channels[name], settings.hidden),
                nn.ReLU(),
                nn.Linear(settings.hidden, settings.dim),
            )
            for name in settings.maps
        }
    )


class TrainingModule(L.LightningModule):
    """Training of one recipe.

    Args:
        recipe: the experiment.
        codes: what the truth codes stand for.
        trained: [classes] bool, see :meth:`TruthCodes.trained`.
        batches: what makes a batch of the slices drawn for a step, on the device that trains; None for a
            module that only predicts.

    Logged per epoch: ``loss``, ``loss_dice``, ``loss_ce``, ``loss_clr``, ``train_dice`` (mean over classes of
    the Dice over all pixels of every fifth step's augmented slices) and ``val_dice`` (case mean in 3D on the
    model grid, as the evaluator counts it).

    The learning rate follows Eq. 14, one step per epoch, after ``warmup_steps`` steps of linear rise. Every
    step's chance is a function of seed, epoch and step, so that a resumed run on CPU ends with the weights of
    an uninterrupted one.
    """

    def __init__(
        self,
        recipe: Recipe,
        codes: TruthCodes,
        trained: np.ndarray,
        batches: TrainingBatches | None = None,
    ) -> None:
        super().__init__()
        self.recipe, self.codes = recipe, codes
        self.batches = batches
        torch.manual_seed(recipe.training.seed)
        self.segmenter = Segmenter(network_for(recipe), trained)
        self.averaged = copy.deepcopy(self.segmenter).requires_grad_(False) if recipe.training.ema else None
        self.clr, self.projections = None, None
        if _uses_clr(recipe):
            c = recipe.clr
            self.clr = ClrSettings(tuple(c.maps), c.temperature, c.anchors, c.negatives, c.positives)
            self.projections = projections_for(self.clr, self._embedding_channels())
        self._sums: dict[str, Tensor] = {}
        self.validated = False
        self._train_counts = torch.zeros(3, recipe.num_classes)
        self._val_scores: list[float] = []

    def _embedding_channels(self) -> dict[str, int]:
        size = self.recipe.preprocessing.size
        was = self.segmenter.training
        self.segmenter.train()
        with torch.no_grad():
            found = self.segmenter(torch.zeros(2, 1, size, size)).embeddings
        self.segmenter.train(was)
        for module in self.segmenter.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        return {name: e.shape[1] for name, e in found.items()}

    # -- training ------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.validated = False
        self._rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._sums, self._steps = {}, 0
        self._train_counts = torch.zeros(3, self.recipe.num_classes)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Turn the slices that were drawn into a batch, where the network lies."""
        if not isinstance(batch, Draws):
            return batch
        assert self.batches is not None
        made = self.batches.make(batch, self.device)
        if self.device.type == "cuda":
            made = made._replace(image=made.image.contiguous(memory_format=torch.channels_last))
        return made

    def on_train_batch_start(self, batch: Batch, step: int) -> None:
        """Make the step's chance (dropout, CLR's samples) a function of seed, epoch and step."""
        rise = self.recipe.training.warmup_steps
        if rise and self.global_step <= rise:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self._rate * min(1.0, (self.global_step + 1) / rise)
        chance = np.random.SeedSequence((self.recipe.training.seed, self.current_epoch, step))
        dropout, clr = (int(s) for s in chance.generate_state(2))
        torch.manual_seed(dropout + self.global_rank)  # the ranks hold different images
        self._generator = torch.Generator().manual_seed(clr)

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Return the loss of Eq. 10."""
        logits, embeddings = self.segmenter(batch.image)
        logits = logits.float()
        weights = self.recipe.loss
        parts = {
            "loss_dice": dice_loss(logits, batch.truth, self.codes),
            "loss_ce": cross_entropy(logits, batch.truth, self.codes, weights.ce_form),
        }
        loss = weights.dice * parts["loss_dice"] + weights.ce * parts["loss_ce"]
        if self.clr is not None and self.projections is not None:
            parts["loss_clr"] = contrast(
                embeddings, self.projections, batch.truth, self.codes, batch.views, self.clr, self._generator
            )
            loss = loss + weights.clr * parts["loss_clr"]
        if self._steps % CHECK_EVERY == 0 and not torch.isfinite(loss):
            raise FloatingPointError(self._not_a_number(loss.item()))
        if self._steps % COUNT_EVERY == 0:
            self._count(logits, batch.truth)
        for name, value in {"loss": loss, **parts}.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.detach()
        self._steps += 1
        self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def _not_a_number(self, value: float) -> str:
        return (
            f"the loss became {value} in epoch {self.current_epoch}; "
            "try a lower training.lr, training.clip=1 or training.precision=fp32"
        )

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the new weights into the average; its decay rises from 0.1, so that the start is forgotten."""
        if self.averaged is not None and self.global_step:
            decay = min(self.recipe.training.ema, (1 + self.global_step) / (10 + self.global_step))
            pair = (list(network.parameters()) for network in (self.averaged, self.segmenter))
            get_ema_multi_avg_fn(decay)(*pair, None)

    def candidate(self) -> nn.Module:
        """Return what is validated and kept: the averaged network where the recipe asks for one.

        Statistics of batch normalisation are means already: they are copied.
        """
        if self.averaged is None:
            return self.segmenter
        for old, new in zip(self.averaged.buffers(), self.segmenter.buffers(), strict=True):
            old.copy_(new)
        return self.averaged.train(self.segmenter.training)

    def _count(self, logits: Logits, truth: Tensor) -> None:
        """Add a batch to the counts behind ``train_dice``: both, predicted, true (certain pixels only)."""
        label = self.codes.singleton.to(truth.device)[truth]
        at = label >= 0
        label, predicted = label[at], logits.detach().argmax(dim=1)[at]
        n = self.recipe.num_classes
        counts = [label[label == predicted], predicted, label]
        self._train_counts += torch.stack([torch.bincount(c, minlength=n) for c in counts]).cpu().float()

    def epoch_means(self) -> dict[str, float]:
        """Return what the epoch's steps gave: mean losses, ``train_dice`` and the learning rate."""
        counts = torch.tensor(collected([self._train_counts.tolist()])).sum(dim=0)
        both, predicted, true = counts[:, 1:]
        present = true > 0
        dice = (2 * both / (predicted + true).clamp(min=1))[present].mean()
        values = {name: float(total) / self._steps for name, total in self._sums.items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(self._not_a_number(values["loss"]))
        return {**values, "train_dice": float(dice), "lr": self._rate}

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means."""
        self.log_dict(self.epoch_means())

    # -- validation ----------------------------------------------------------------------------------------

    def predict_case(self, case: PreparedCase) -> np.ndarray:
        """Return the predicted classes of one case on the model grid: [s, H, W] uint8."""
        images = torch.from_numpy(case.images.astype(np.float32))[:, None].to(self.device)
        network = self.candidate()
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
            # cases have all lengths: trying out algorithms for each would take longer than the case
            parts = [network(chunk).logits.argmax(dim=1) for chunk in images.split(16)]
        return torch.cat(parts).to(torch.uint8).cpu().numpy()

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last epoch."""
        self._val_scores = []
        self.validated = True

    def validation_step(self, case: PreparedCase | tuple[()], _: int) -> None:
        """Score one case; an empty one stands where this process has none left."""
        if not isinstance(case, PreparedCase):
            return
        sets = ValueSets({c: tuple(s) for c, s in self._truth_sets().items()})
        score = case_dice(case.truth, self.predict_case(case), sets)
        if score is not None:
            self._val_scores.append(score)

    def _truth_sets(self) -> dict[int, tuple[int, ...]]:
        return {c: (255,) if c == self.codes.unknown else ids for c, ids in enumerate(self.codes.sets)}

    def on_validation_epoch_end(self) -> None:
        """Log the validation Dice; 0 when no case could be scored."""
        scores = collected(self._val_scores)  # each case is one rank's
        score = float(np.mean(scores)) if scores else 0.0
        self.log("val_dice", score, prog_bar=True)

    # -- optimiser -----------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return Adam (or AdamW) and the cosine of Eq. 14 over the epochs."""
        t = self.recipe.training
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[t.optimiser]
        own = [p for name, p in self.named_parameters() if not name.startswith("averaged.")]
        optimiser = kind(own, lr=t.lr, weight_decay=t.weight_decay)
        low = t.lr_min / t.lr

        def eq_14(epoch: int) -> float:
            return low + 0.5 * (1 - low) * (1 + math.cos(math.pi * min(epoch, t.epochs) / t.epochs))

        return {
            "optimizer": optimiser,
            "lr_scheduler": {
                "scheduler": torch.optim.lr_scheduler.LambdaLR(optimiser, eq_14),
                "interval": "epoch",
            },
        }
