"""Which slices, and which part of them, make up a batch."""

from .batches import BatchPlan, Draw
from .patches import patch_corner

__all__ = ["BatchPlan", "Draw", "patch_corner"]
