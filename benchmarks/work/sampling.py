"""Where does this process spend its CPU time?  Looks at the stack after each millisecond of it; standard library only.

A look costs some microseconds, so what is seen is what runs: nothing is slowed down the more the smaller its functions
are. Time in C counts for the Python function that called it.
"""

from __future__ import annotations

import signal
from collections import Counter
from types import CodeType, FrameType, TracebackType
from typing import Any

INTERVAL = 0.001
KEPT = 25


class Sampler:
    """Counts, within its `with` block, which functions were at work (`own`), and which had called them (`within`)."""

    def __init__(self) -> None:
        self.looks = 0
        self._own: Counter[CodeType] = Counter()
        self._within: Counter[CodeType] = Counter()

    def __enter__(self) -> Sampler:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def told(self) -> dict[str, Any]:
        """Shares of the looks, most first: `own` by function, `within` by function of ours, `parts` by package."""
        parts: Counter[str] = Counter()
        for code, count in self._own.items():
            parts[part_of(code.co_filename)] += count
        ours = Counter({code: n for code, n in self._within.items() if _place(code.co_filename)[0] == "dripdrop"})
        return {
            "looks": self.looks,
            "own": self._shares(Counter({_name(code): n for code, n in self._own.items()})),
            "within": self._shares(Counter({_name(code): n for code, n in ours.items()})),
            "parts": self._shares(parts),
        }

    def _look(self, number: int, frame: FrameType | None) -> None:
        self.looks += 1
        if frame is None:
            return
        self._own[frame.f_code] += 1
        seen = set()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        self._within.update(seen)

    def _shares(self, counted: Counter[str]) -> dict[str, float]:
        return {name: round(count / max(self.looks, 1), 4) for name, count in counted.most_common(KEPT)}


def part_of(filename: str) -> str:
    """The package a file belongs to; of ours, the folder too."""
    root, words = _place(filename)
    if root == "dripdrop":
        return ".".join(words[:-1])
    return words[0].removesuffix(".py") if root == "site-packages" else root


def _name(code: CodeType) -> str:
    root, words = _place(code.co_filename)
    module = ".".join(words).removesuffix(".py").removesuffix(".__init__")
    return f"{module}.{code.co_qualname}" if root != "standard library" else f"{words[-1][:-3]}.{code.co_qualname}"


def _place(filename: str) -> tuple[str, list[str]]:
    """Whose file it is, and its path from there; an environment may lie below a folder that has our name."""
    words = filename.replace("\\", "/").split("/")
    if "site-packages" in words:
        return "site-packages", words[words.index("site-packages") + 1 :]
    for root in ("dripdrop", "benchmarks", "asyncio"):
        if root in words:
            return root, words[len(words) - 1 - words[::-1].index(root) :]
    return "standard library", words
