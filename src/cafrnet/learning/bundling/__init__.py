"""From a run to a bundle (:mod:`.make`), and from either back to weights (:func:`read_trained`)."""

from .trained import Trained, read_trained

__all__ = ["Trained", "read_trained"]
