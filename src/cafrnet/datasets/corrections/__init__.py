"""Label maps that a person corrected come back as training data: :func:`add_corrections`."""

from .add import Added, add_corrections

__all__ = ["Added", "add_corrections"]
