"""How far a model can be trusted: temperatures, predicted Dice, known ranges and triage thresholds."""

from .calibrate import Budget, Report, calibrate, write_report
from .store import store

__all__ = ["Budget", "Report", "calibrate", "store", "write_report"]
