"""Ids, names, colours and levels: the only place that knows them, read from two data files.

``table.yaml`` is cafrnet's own label table; ``schemes.yaml`` says what the values of other tools' and
datasets' label maps stand for.
"""

from .names import id_of_name
from .schemes import SCHEMES, Scheme, ValueSets, get_scheme
from .table import TABLE, UNKNOWN, Label, LabelTable

__all__ = [
    "SCHEMES",
    "TABLE",
    "UNKNOWN",
    "Label",
    "LabelTable",
    "Scheme",
    "ValueSets",
    "get_scheme",
    "id_of_name",
]
