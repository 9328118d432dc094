"""Small words of messages: numbers with their nouns, and ranges."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return ``"1 case"``, ``"2 cases"``; ``many`` where the plural is not ``one`` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def ranges(values: Iterable[int]) -> str:
    """Write 0, 1, 2, 5 as ``"0-2, 5"``."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else f"{p[0]}" for p in parts)
