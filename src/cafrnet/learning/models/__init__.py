"""Networks under one registry and one contract: image in, :class:`Output` out."""

from .registry import REGISTRY, build_model, list_models, normal_output

__all__ = ["REGISTRY", "build_model", "list_models", "normal_output"]
