"""Which steps turn a network's answer into a named column; each can be switched off."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from ..errors import UsageError, nearest


@dataclass(frozen=True)
class NamingOptions:
    """Switches of post-processing. All are on by default.

    Attributes:
        kinds: decide what a pixel is over sums of names. Off, each pixel keeps the class of its own argmax,
            no other step is taken and nothing is said about levels.
        offsets: kinds are as likely as the calibration found them to be (:mod:`cafrnet.inference.answers`).
        blend: slices that lie near each other share their logits, before anything else is done
            (:mod:`cafrnet.inference.answers`).
        split: cut a piece that is as high as two levels.
        join: pieces of one kind beside each other are one structure.
        fragments: drop structures smaller than :data:`cafrnet.anatomy.instances.MIN_VOLUME_MM3`.
        sequence: names follow each other along the column; off, each structure takes its own likeliest name.
        sacrum: where the sacrum is seen, the names are counted from it.
    """

    kinds: bool = True
    offsets: bool = True
    blend: bool = True
    split: bool = True
    join: bool = True
    fragments: bool = True
    sequence: bool = True
    sacrum: bool = True

    @classmethod
    def without(cls, *steps: str) -> NamingOptions:
        """Return options with these steps off; ``"all"`` is every step.

        Raises:
            UsageError: no such step (the nearest is named).
        """
        names = [f.name for f in fields(cls)]
        for step in steps:
            if step not in (*names, "all"):
                raise UsageError(
                    f"no step of post-processing is called {step!r}{nearest(step, [*names, 'all'])}"
                )
        return cls(**{name: not (name in steps or "all" in steps) for name in names})

    @property
    def off(self) -> tuple[str, ...]:
        """Names of the steps that are off, for the record."""
        return tuple(name for name, on in asdict(self).items() if not on)
