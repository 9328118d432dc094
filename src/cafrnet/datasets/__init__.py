"""Labelled scans as a list of cases: :func:`open_dataset`, and :func:`make_split` into parts by patient."""

from .case import Case, Dataset
from .registry import open_dataset
from .splits import Split, make_split

__all__ = ["Case", "Dataset", "Split", "make_split", "open_dataset"]
