"""What happens to a scan before a network sees it, recorded so that it can be undone."""

from .grid import ModelGrid
from .pipeline import Prepared, prepare, prepare_truth
from .settings import Preprocessing

__all__ = ["ModelGrid", "Prepared", "Preprocessing", "prepare", "prepare_truth"]
