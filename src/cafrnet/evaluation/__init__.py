"""One evaluator for every model: :func:`evaluate` for files, :func:`evaluate_arrays` for arrays.

Per case, in 3D, on the native grid; see ``docs/evaluation.md`` for every definition.
"""

from .case import CaseScore, evaluate_arrays
from .dataset import Evaluation, evaluate
from .scores import ClassScore

__all__ = ["CaseScore", "ClassScore", "Evaluation", "evaluate", "evaluate_arrays"]
