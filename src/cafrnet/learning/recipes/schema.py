"""What a recipe may say: every key, its type, its range and its default.

The defaults are the paper's Tables 1 and 2 where it has them, else the decisions of the design.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PreprocessingRecipe(_Section):
    """See :class:`cafrnet.preprocessing.Preprocessing`, which checks the values."""

    pixel_mm: float = Field(1.17, gt=0)
    size: int = Field(256, ge=32, multiple_of=32)
    contrast: Literal["none", "he", "clahe", "he_clahe"] = "clahe"
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    clahe_clip: float = Field(0.01, gt=0, le=1)
    clahe_tiles: int = Field(8, ge=1)


class AugmentationRecipe(_Section):
    """Chances are 0 to 1; 0 switches a change off."""

    flip: float = Field(0.5, ge=0, le=1, description="front to back")
    rotation_deg: float = Field(15.0, ge=0, le=45)
    scale: float = Field(0.1, ge=0, lt=1)
    shift_px: float = Field(8.0, ge=0)
    elastic: float = Field(0.5, ge=0, le=1)
    elastic_spacing_px: int = Field(32, ge=4)
    elastic_px: float = Field(3.0, ge=0, description="standard deviation of the net's displacements, at most")
    crop: float = Field(0.0, ge=0, le=1, description="chance of a smaller field of view")
    crop_to: float = Field(0.4, gt=0, le=1, description="smallest share of the height that is left")
    synthesis: float = Field(0.0, ge=0, le=1, description="chance of new grey values per structure")
    curve: float = Field(0.0, ge=0, le=1, description="chance of a random curve over all grey values")
    intensity: float = Field(0.5, ge=0, le=1)
    gamma: tuple[float, float] = (0.7, 1.5)
    gain: float = Field(0.2, ge=0)
    offset: float = Field(0.1, ge=0)
    noise_std: float = Field(0.03, ge=0)
    artefacts: float = Field(0.0, ge=0, le=1, description="chance of bias field, ghosts and blur, each")
    bias: float = Field(0.3, ge=0)
    ghost: float = Field(0.25, ge=0)
    blur_px: float = Field(1.2, ge=0)
    metal: float = Field(0.0, ge=0, le=1, description="chance of a signal void")


class SamplingRecipe(_Section):
    """Three separate things: patches, class-aware batches, views. Balanced anchors belong to ``clr``."""

    unit: Literal["slice", "patch"] = "slice"
    patch: int = Field(256, ge=32, multiple_of=32, description="edge of a patch, where unit is patch")
    class_aware: float = Field(0.5, ge=0, le=1, description="share of a batch that is drawn for a class")
    views: int = Field(1, ge=1, le=4, description="augmented views of each slice in a batch")


class MixRecipe(_Section):
    """A second source of training data, such as phantoms. All its cases train, none validates."""

    data: str = Field("", description="folder of a labelled dataset; empty for none")
    share: float = Field(0.0, ge=0, le=1, description="share of each batch that comes from it")


class LossRecipe(_Section):
    """Weights of Eq. 10 and the form of the cross-entropy."""

    dice: float = Field(0.5, ge=0)
    ce: float = Field(1.0, ge=0)
    clr: float = Field(0.1, ge=0)
    ce_form: Literal["multiclass", "binary_sum"] = "multiclass"


class ClrRecipe(_Section):
    """See :class:`cafrnet.learning.losses.ClrSettings`. ``enabled`` is the ablation switch of Table 4."""

    enabled: bool = True
    maps: tuple[str, ...] = ("fused", "1/8", "1/4")
    temperature: float = Field(0.07, gt=0)
    anchors: int = Field(32, ge=1)
    negatives: int = Field(5, ge=0, description="negatives per positive; 0 for all")
    positives: Literal["class", "view", "neighbour"] = "class"


class TrainingRecipe(_Section):
    """Optimiser and schedule (Table 1). An epoch is ``steps_per_epoch`` steps on any data."""

    optimiser: Literal["adam", "adamw"] = "adam"
    batch: int = Field(16, ge=1)
    epochs: int = Field(500, ge=1)
    steps_per_epoch: int = Field(95, ge=1)
    lr: float = Field(1e-4, gt=0)
    lr_min: float = Field(1e-6, ge=0)
    weight_decay: float = Field(1e-5, ge=0)
    patience: int = Field(10, ge=0, description="epochs without a better validation Dice; 0 never stops")
    patience_after: float = Field(0.1, ge=0, le=1, description="share of the schedule before it counts")
    clip: float = Field(0.0, ge=0, description="largest gradient norm; 0 for none")
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises from 0")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights; 0 for none")
    validate_every: int = Field(1, ge=1, description="epochs from one validation to the next")
    select: Literal["best", "last"] = "best"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)
    workers: int = Field(0, ge=0, description="processes that prepare batches; 0 for none")
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        1, description="processes on each machine, one for each GPU; auto: as many as there are GPUs"
    )
    nodes: int = Field(1, ge=1, description="machines")
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = Field(
        "auto", description="of Lightning; auto is ddp where there are several processes"
    )
    compile: bool = Field(False, description="torch.compile the network")


class PretrainingRecipe(_Section):
    """Of ``cafrnet pretrain`` alone; its optimiser and schedule are those of ``training``."""

    method: Literal["mask", "view"] = Field("mask", description="masked autoencoding, or contrast of views")
    mask_share: float = Field(0.6, gt=0, lt=1, description="share of the patches that are hidden")
    mask_px: Literal[8, 16, 32] = Field(16, description="edge of a hidden patch")
    cells: int = Field(32, ge=2, description="places per slice and map that are contrasted")


class Recipe(_Section):
    """One experiment. ``model_args`` go to the network's class as they are."""

    model: str = "cafr_net"
    num_classes: int = Field(20, ge=2, le=22)
    model_args: dict[str, Any] = Field(default_factory=dict)
    preprocessing: PreprocessingRecipe = PreprocessingRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    sampling: SamplingRecipe = SamplingRecipe()
    mix: MixRecipe = MixRecipe()
    loss: LossRecipe = LossRecipe()
    clr: ClrRecipe = ClrRecipe()
    training: TrainingRecipe = TrainingRecipe()
    pretraining: PretrainingRecipe = PretrainingRecipe()

    @model_validator(mode="after")
    def _no_contradictions(self) -> Recipe:
        if self.clr.enabled and self.clr.positives == "view" and self.sampling.views < 2:
            raise ValueError("clr.positives 'view' needs sampling.views of 2 or more; there is one view only")
        if self.training.batch % self.sampling.views:
            raise ValueError(
                f"training.batch {self.training.batch} is no multiple of sampling.views {self.sampling.views}"
            )
        if self.mix.share and not self.mix.data:
            raise ValueError(f"mix.share is {self.mix.share} and mix.data names no dataset; give its folder")
        if self.sampling.unit == "patch" and self.sampling.patch > self.preprocessing.size:
            raise ValueError(
                f"sampling.patch {self.sampling.patch} is larger than preprocessing.size "
                f"{self.preprocessing.size}"
            )
        if self.training.lr_min > self.training.lr:
            raise ValueError(
                f"training.lr_min {self.training.lr_min} is above training.lr {self.training.lr}"
            )
        if self.loss.dice == self.loss.ce == 0:
            raise ValueError("loss.dice and loss.ce are both 0; nothing would teach the classes")
        if self.preprocessing.low_percentile >= self.preprocessing.high_percentile:
            raise ValueError("preprocessing.low_percentile must lie below high_percentile")
        return self
