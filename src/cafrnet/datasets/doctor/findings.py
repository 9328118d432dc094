"""What the doctor says: findings, each with what to do about it, and the report that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...words import counted

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: ``"error"`` (training or scoring on it gives wrong results), ``"warning"`` (look at it) or
            ``"info"``.
        check: short name of the check, the same for all of its findings.
        case: id of the case; empty if it concerns the dataset.
        message: what was found.
        advice: what to do.
    """

    severity: Severity
    check: str
    case: str
    message: str
    advice: str


@dataclass(frozen=True)
class Report:
    """All findings of one check.

    Attributes:
        dataset: name of the dataset.
        cases: number of cases.
        findings: errors first, then in the order of the cases.
    """

    dataset: str
    cases: int
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, dataset: str, cases: int, findings: Sequence[Finding]) -> Report:
        """Put findings together, errors first."""
        return cls(dataset, cases, tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))))

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(f.severity == severity for f in self.findings)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return self.count("error") == 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as values that JSON has words for."""
        return {
            "dataset": self.dataset,
            "cases": self.cases,
            "ok": self.ok,
            **{f"{s}s": self.count(s) for s in SEVERITIES},
            "findings": [asdict(f) for f in self.findings],
        }

    def to_text(self) -> str:
        """Return the report for a person: one finding per line, with its advice, and a last line of sums."""
        lines = [
            f"{f.severity:7} {f.case or self.dataset}: {f.message} [{f.check}]\n        -> {f.advice}"
            for f in self.findings
        ]
        errors, warnings, notes = (self.count(s) for s in SEVERITIES)
        sums = (
            f"{counted(self.cases, 'case')}, {counted(errors, 'error')}, {counted(warnings, 'warning')}, "
            f"{counted(notes, 'note')}"
        )
        return "\n".join([*lines, f"{self.dataset}: {sums}"])
