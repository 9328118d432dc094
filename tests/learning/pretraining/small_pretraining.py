"""Small networks and recipes for the tests of pretraining."""

from cafrnet.learning.recipes import load_recipe

NETS = {
    "cafr_net": "{size: 64, width: 32, heads: 2, tap_channels: [8, 8, 8], decoder_channels: [8, 8, 8, 8]}",
    "cafr_net_plus": "{channels: [4, 4, 8, 8, 16], width: 16, heads: 2, depths: [1, 1, 1], "
    "decoder_channels: [8, 8, 8, 8], size: 64}",
}
STILL = ("flip", "rotation_deg", "scale", "shift_px", "elastic", "crop", "synthesis", "curve", "intensity")
STILL += ("artefacts", "metal")


def recipe(net, *words, still=False):
    """The recipe of a small network on 64 x 64 pixels; ``still`` switches augmentation off."""
    off = [f"augmentation.{key}=0" for key in STILL] if still else []
    short = ["epochs=2", "steps_per_epoch=3", "batch=4", "warmup_steps=2", "precision=fp32", "contrast=none"]
    size = ["preprocessing.size=64", "pixel_mm=2.0", "num_classes=22", f"model_args={NETS[net]}"]
    return load_recipe(net, [*size, *short, *off, *words])
