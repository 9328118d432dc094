"""The transformer block (paper Eq. 2-4)."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from ..types import Tokens


class TransformerBlock(nn.Module):
    r"""Multi-head self-attention and a feed-forward network, each with LayerNorm and a residual path.

    Post-norm, as Eq. 4 has it, unless ``pre_norm`` is set:

    .. math:: Z' = LN(Z + Attention(Q, K, V)), \qquad Z'' = LN(Z' + FFN(Z'))

    Pre-norm (Dosovitskiy et al. 2021, ViT):

    .. math:: Z' = Z + Attention(LN(Z)), \qquad Z'' = Z' + FFN(LN(Z'))

    with :math:`Attention(Q, K, V) = softmax(Q K^T / \sqrt{D_h}) V` (Eq. 2) and a two-layer FFN.

    Args:
        width: length D of a token.
        heads: attention heads; D must be divisible by it (768 / 6 = 128 wide).
        ratio: width of the FFN over D.
        dropout: after attention and after the FFN.
        activation: inside the FFN; ReLU in the paper.
        pre_norm: normalise before attention and FFN instead of after the sums.

    Shapes: tokens [B, N, D] -> [B, N, D].

    Decided beyond the paper: FFN ratio 2, since ratio 4 with three blocks alone exceeds the paper's whole
    budget of 5.12 GMACs; an output projection after the heads, as everywhere.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        ratio: float = 2.0,
        dropout: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
        pre_norm: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.pre_norm = heads, pre_norm
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.ffn = nn.Sequential(
            nn.Linear(width, int(ratio * width)), activation(), nn.Linear(int(ratio * width), width)
        )
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def attention(self, tokens: Tokens) -> Tokens:
        """Return Attention(Q, K, V) of Eq. 2 and 3 over all heads."""
        batch, n, width = tokens.shape
        q, k, v = self.qkv(tokens).view(batch, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, n, width))

    def forward(self, tokens: Tokens) -> Tokens:
        """Apply Eq. 4, or its pre-norm form."""
        if self.pre_norm:
            tokens = tokens + self.dropout(self.attention(self.norm1(tokens)))
            return tokens + self.dropout(self.ffn(self.norm2(tokens)))
        tokens = self.norm1(tokens + self.dropout(self.attention(tokens)))
        return self.norm2(tokens + self.dropout(self.ffn(tokens)))
