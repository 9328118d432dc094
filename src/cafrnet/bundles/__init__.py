"""Bundles: a trained model as one folder of five files, with its card and the hash of each file.

:func:`open_bundle` verifies one, :func:`find` turns a word of the command line into a model's folder,
:func:`add_bundle` installs one for this user, :func:`installed` lists them.
"""

from .add import add_bundle
from .bundle import Bundle, open_bundle, problems
from .card import Card
from .layout import FILES, SUMS
from .places import default_folder, find, home, installed

__all__ = [
    "FILES",
    "SUMS",
    "Bundle",
    "Card",
    "add_bundle",
    "default_folder",
    "find",
    "home",
    "installed",
    "open_bundle",
    "problems",
]
