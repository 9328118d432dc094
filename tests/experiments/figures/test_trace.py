"""Fig 1's numbers are those of the network, and those of the counter that the tables use."""

import pytest
import torch

from cafrnet.experiments.figures.architecture import draw_model, draw_trace
from cafrnet.experiments.figures.trace import count_text, macs_text, shape_text, trace
from cafrnet.learning.models import build_model
from cafrnet.learning.models.cost import count_macs, count_parameters

from .pictures import drawn_well

SMALL = {"size": 64, "width": 32, "heads": 2, "tap_channels": [8, 8, 8], "clr_channels": 8}
SMALL |= {"decoder_channels": [16, 16, 16, 8]}


def on_shapes(name, **args):
    with torch.device("meta"):
        return build_model(name, args=args)


@pytest.mark.parametrize("name", ["cafr_net", "cafr_net_plus", "unet", "swin_unet"])
def test_the_blocks_add_up_to_the_counter(name):
    network = on_shapes(name)
    found = trace(network, (1, 1, 256, 256))
    assert found.macs == count_macs(network, (1, 1, 256, 256))
    assert found.elsewhere == 0
    assert sum(b.parameters for b in found.blocks) == count_parameters(network)


def test_blocks_of_cafr_net_by_hand():
    found = trace(on_shapes("cafr_net"), (1, 1, 256, 256))
    names = [b.name for b in found.blocks]
    assert names[:3] == ["embed", "stages.0", "taps.0"]
    assert names[-1] == "head"
    assert found["embed"].shape == (256, 768)
    assert found["taps.0"].shape == (64, 64, 64)
    assert found["embed"].macs == 256 * 768 * 256
    assert found["recalibrate.0"].macs == 64 * 64 * (64 * 64 + 9 * 64)
    assert found.macs_of["recalibrate.0.depthwise"] == 64 * 64 * 9 * 64
    assert found["head"].macs == 256 * 256 * 16 * 20
    assert found.embeddings == {"fused": (256, 64, 64), "1/8": (128, 32, 32), "1/4": (64, 64, 64)}


def test_costs_are_of_one_image_and_the_network_stays_as_it_was():
    network = build_model("cafr_net", args=SMALL).train()
    one, three = trace(network, (1, 1, 64, 64)), trace(network, (3, 1, 64, 64))
    assert one.macs == three.macs
    assert network.training
    assert not network.head._forward_hooks


def test_without_lafr_and_clr_nothing_of_them_is_counted(tmp_path):
    network = build_model("cafr_net", clr=False, args={**SMALL, "lafr": False})
    found = trace(network, (1, 1, 64, 64))
    assert found["recalibrate.0"].macs == 0
    assert found.embeddings == {}
    drawn_well(draw_trace("bare", found, tmp_path / "bare.png"), "bare at 1 x 64 x 64")


def test_fig_1_and_the_list_for_other_networks(tmp_path):
    drawn_well(draw_model("cafr_net", tmp_path / "a.png"), "5.008 GMACs", "16.31 M parameters")
    drawn_well(draw_model("unet", tmp_path / "b.png"), "12.0", "hooks on the network")


def test_numbers_in_words():
    assert (macs_text(1_308_622_848), macs_text(19_136_512), macs_text(0)) == (
        "1.309 GMACs",
        "19.1 MMACs",
        "no MACs",
    )
    assert (count_text(4_727_000), count_text(4_700), count_text(340)) == ("4.727 M", "4.7 k", "340")
    assert (shape_text((256, 768)), shape_text((64, 32, 32))) == ("256 tokens x 768", "64 x 32 x 32")
