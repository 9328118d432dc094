"""Cross-entropy against sets of classes (paper Eq. 12)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..codes import TruthCodes
from ..ranks import total
from ..types import Logits, Truth


def cross_entropy(logits: Logits, truth: Truth, codes: TruthCodes, form: str = "multiclass") -> Tensor:
    r"""Minus the log of the probability that the truth's set of classes holds, averaged over pixels.

    .. math:: L_{CE} = -\frac{1}{N} \sum_i \log \sum_{c \in S_i} p_{ic}

    For a pixel whose set is one class this is the usual cross-entropy.

    Args:
        logits: [B, C, H, W].
        truth: [B, H, W] codes.
        codes: what the codes stand for. Unknown pixels are left out of the mean.
        form: ``"multiclass"``, or ``"binary_sum"``: Eq. 12 as printed, a sum over pixels and classes of
            binary cross-entropies of the softmax probabilities (pixels with one certain class only).

    Returns:
        Scalar >= 0; exactly 0 (with a gradient path) when every pixel is unknown.

    Differs from the paper: Eq. 12 is a summed binary form for 20 exclusive classes; a sum over pixels would
    make the weights of Eq. 10 meaningless, so the mean of the multi-class form is the default.
    """
    if form == "binary_sum":
        return _binary_sum(logits, codes.singleton.to(truth.device)[truth])
    classes, belongs = (t.to(truth.device)[truth].movedim(-1, 1) for t in codes.members)
    allowed = F.log_softmax(logits, dim=1).gather(1, classes).masked_fill(~belongs, float("-inf"))
    known = truth != codes.unknown
    log_likelihood = torch.logsumexp(allowed, dim=1) if allowed.shape[1] > 1 else allowed[:, 0]
    sums = total(torch.stack([(log_likelihood * known).sum(), known.sum().to(log_likelihood.dtype)]))
    return -sums[0] / sums[1].clamp(min=1)


def _binary_sum(logits: Logits, singleton: Truth) -> Tensor:
    certain = singleton >= 0
    p = F.softmax(logits, dim=1).permute(0, 2, 3, 1)[certain].clamp(1e-7, 1 - 1e-7)
    g = F.one_hot(singleton[certain], logits.shape[1]).to(p.dtype)
    return -total((g * p.log() + (1 - g) * (1 - p).log()).sum())
