"""Efficient paired attention, EPA (Shaker et al., UNETR++, IEEE TMI 2024, Sect. III-B)."""

from __future__ import annotations

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import nn
from torch.nn import functional as F

from ..types import Features, Tokens


class PairedAttention(nn.Module):
    r"""Attention over channels and attention over places, with shared queries and keys.

    .. math::
        X_s = softmax(\tau_s \hat{Q} (E K^T)) \, E V_s, \qquad
        X_c = V_c \, softmax(\tau_c \hat{Q}^T \hat{K})

    E projects the N places to P, so that the cost of the first grows with N P instead of N^2. The hat means
    unit length over the places; each tau is a learnt factor per head. Each result is projected to half the
    channels, and the halves stand side by side.

    Args:
        channels: C of a token.
        places: N, number of tokens; fixed, since E has a weight for each.
        projected: P.
        heads: of both attentions; C must be divisible by it.
        dropout: on both attention maps.

    Shapes: tokens [B, N, C] -> [B, N, C].
    """

    def __init__(self, channels: int, places: int, projected: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkvv = nn.Linear(channels, 4 * channels, bias=False)
        self.project = nn.Linear(places, projected)
        self.factor_channel = nn.Parameter(torch.ones(heads, 1, 1))
        self.factor_place = nn.Parameter(torch.ones(heads, 1, 1))
        self.dropout = nn.Dropout(dropout)
        self.out_place = nn.Linear(channels, channels // 2)
        self.out_channel = nn.Linear(channels, channels // 2)

    def forward(self, tokens: Tokens) -> Tokens:
        """Return both attentions side by side."""
        batch, n, channels = tokens.shape
        split = self.qkvv(tokens).view(batch, n, 4, self.heads, channels // self.heads)
        q, k, v_channel, v_place = split.permute(2, 0, 3, 4, 1)  # each [B, heads, C / heads, N]
        keys, values = self.project(k), self.project(v_place)  # [B, heads, C / heads, P]
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        over_channels = (self.factor_channel * (q @ k.mT)).softmax(dim=-1)
        over_places = (self.factor_place * (q.mT @ keys)).softmax(dim=-1)
        by_channel = self.dropout(over_channels) @ v_channel  # [B, heads, C / heads, N]
        by_place = self.dropout(over_places) @ values.mT  # [B, heads, N, C / heads]
        by_channel = by_channel.permute(0, 3, 1, 2).reshape(batch, n, channels)
        by_place = by_place.transpose(1, 2).reshape(batch, n, channels)
        return torch.cat([self.out_place(by_place), self.out_channel(by_channel)], dim=-1)


class PairedBlock(nn.Module):
    """Learnt positions, paired attention, then a residual 3 x 3 convolution block and a 1 x 1 convolution.

    Args:
        channels, places, projected, heads: as in :class:`PairedAttention`.
        dropout: on the attention maps and before the 1 x 1 convolution.

    Shapes: [B, C, H, W] with H W = places -> the same.
    """

    def __init__(self, channels: int, places: int, projected: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, places, channels))
        self.norm = nn.LayerNorm(channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))
        self.attention = PairedAttention(channels, places, projected, heads, dropout)
        self.conv = UnetResBlock(2, channels, channels, kernel_size=3, stride=1, norm_name="batch")
        self.out = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, channels, kernel_size=1))

    def forward(self, features: Features) -> Features:
        """Return features + attention, refined by convolutions."""
        tokens = features.flatten(2).transpose(1, 2) + self.positions
        tokens = tokens + self.gamma * self.attention(self.norm(tokens))
        attended = tokens.transpose(1, 2).reshape(features.shape)
        return attended + self.out(self.conv(attended))
