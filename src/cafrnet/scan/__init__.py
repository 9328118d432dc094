"""Scans and label maps, from and to files: :func:`read_scan`, :func:`read_labels`, :func:`write_labels`."""

from .alignment import aligned
from .formats import (
    is_dicom_folder,
    is_placed,
    is_scan,
    is_segmentation,
    output_suffix,
    read_labels,
    read_scan,
    write_labels,
    written_scheme,
)
from .orientation import SagittalFrame, orthonormal, sagittal_frame
from .scan import Scan

__all__ = [
    "SagittalFrame",
    "Scan",
    "aligned",
    "is_dicom_folder",
    "is_placed",
    "is_scan",
    "is_segmentation",
    "orthonormal",
    "output_suffix",
    "read_labels",
    "read_scan",
    "sagittal_frame",
    "write_labels",
    "written_scheme",
]
