"""What do paired rounds say? Ratios per round, medians, and when a difference is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Ratio:
    """`ours` over `theirs`, round by round; both in the same unit, one value a round."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.ours) != len(self.theirs) or not self.ours:
            raise ValueError("a ratio needs the same rounds on both sides, and at least one")
        if min(self.theirs) <= 0:
            raise ValueError("a side that did nothing cannot be compared with")

    @property
    def rounds(self) -> tuple[float, ...]:
        """The ratio of each round."""
        return tuple(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def median(self) -> float:
        """The median of the rounds' ratios: drift that both sides of a round share falls out."""
        return median(self.rounds)

    @property
    def tie(self) -> bool:
        """Whether the two sides' ranges over all rounds overlap, so that neither can be called faster."""
        return min(self.ours) <= max(self.theirs) and min(self.theirs) <= max(self.ours)


def order(sides: Sequence[str], number: int) -> list[str]:
    """The order of round `number` (from 0): reversed each time, so nobody always goes first."""
    return list(sides) if number % 2 == 0 else list(reversed(sides))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    at = -(-len(ranked) * share // 1)
    return ranked[min(max(int(at) - 1, 0), len(ranked) - 1)]


def predicted_rate(cores: int, python_us: float, postgres_us: float, processes: int) -> float:
    """Steps a second that CPU time alone allows: no process beyond its own core, all of them within the machine."""
    machine = cores / (python_us + postgres_us) * 1e6
    return min(machine, processes / python_us * 1e6) if python_us > 0 else machine
