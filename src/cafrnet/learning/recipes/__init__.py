"""Recipes: one experiment as one readable file, and the schema that checks it."""

from .load import available, load_recipe
from .schema import Recipe

__all__ = ["Recipe", "available", "load_recipe"]
