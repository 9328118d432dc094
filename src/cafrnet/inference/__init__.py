"""From a scan to a label map, without PyTorch."""

from .batch import Outcome, segment_files
from .model import Model, load_model
from .segment import Segmentation, segment_scan

__all__ = ["Model", "Outcome", "Segmentation", "load_model", "segment_files", "segment_scan"]
