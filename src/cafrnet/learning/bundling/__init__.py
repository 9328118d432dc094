"""From a run to a bundle, and from a bundle or a run back to weights that training can start from."""

from .make import make_bundle
from .trained import Trained, read_trained

__all__ = ["Trained", "make_bundle", "read_trained"]
