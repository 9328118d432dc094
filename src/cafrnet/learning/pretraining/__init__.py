"""Learning from scans without labels, before training: the paper's future work (:func:`pretrain`)."""

from .pretrain import pretrain

__all__ = ["pretrain"]
