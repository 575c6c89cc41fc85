"""How does it look?  One bar for each figure that has a target, as an SVG that is the same for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from pathlib import Path

WIDTH, LEFT, RIGHT = 1040, 430, 190
TOP, ROW, BOTTOM = 92, 26, 58
LEAST, MOST = 0.1, 10.0  # of the target; what lies beyond ends at the edge
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
COLOURS = {"reached": "#2f855a", "below target": "#b7791f", "loses": "#c53030", "missing": "#a0aec0"}
WORDS = {
    "reached": "target reached",
    "below target": "below the target",
    "loses": "a peer is faster",
    "missing": "not measured",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: how many times its target was reached (1 is just so), in the median and in each round."""

    label: str
    shown: str
    score: float | None
    rounds: tuple[float, ...] = ()
    state: str = "reached"


def draw(title: str, note: str, bars: Sequence[Bar]) -> str:
    """The whole picture."""
    height = TOP + ROW * len(bars) + BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' role="img" font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="24" y="34" font-size="20" font-weight="bold" fill="#1a202c">{escape(title)}</text>',
        f'<text x="24" y="58" fill="#4a5568">{escape(note)}</text>',
        *_grid(height),
    ]
    for number, bar in enumerate(bars):
        lines += _row(bar, TOP + ROW * number)
    lines += _legend(height - 20)
    return "\n".join([*lines, "</svg>"]) + "\n"


def write(path: Path, title: str, note: str, bars: Sequence[Bar]) -> None:
    path.write_text(draw(title, note, bars), "utf-8")


def _grid(height: int) -> list[str]:
    bottom = height - BOTTOM + 4
    lines = []
    for tick in TICKS:
        x, own = _x(tick), tick == 1.0
        stroke = 'stroke="#1a202c" stroke-width="1.5"' if own else 'stroke="#e2e8f0"'
        text = "target" if own else f"{tick:g}x"
        weight = ' font-weight="bold" fill="#1a202c"' if own else ' fill="#718096"'
        lines.append(f'<line x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{bottom}" {stroke}/>')
        lines.append(f'<text x="{x}" y="{TOP - 12}" text-anchor="middle" font-size="11"{weight}>{text}</text>')
    return lines


def _row(bar: Bar, y: int) -> list[str]:
    middle = y + ROW // 2
    colour = COLOURS[bar.state]
    lines = [f'<text x="{LEFT - 12}" y="{middle + 4}" text-anchor="end" fill="#1a202c">{escape(bar.label)}</text>']
    if bar.score is not None:
        one, here = _x(1.0), _x(bar.score)
        lines.append(
            f'<rect x="{min(one, here)}" y="{middle - 7}" width="{max(abs(here - one), 1.5):g}" height="14"'
            f' fill="{colour}" fill-opacity="0.85"/>'
        )
    lines += [
        f'<circle cx="{_x(each)}" cy="{middle}" r="3" fill="#ffffff" stroke="#1a202c"/>' for each in bar.rounds if each
    ]
    shown = f'<text x="{WIDTH - RIGHT + 14}" y="{middle + 4}" fill="{colour}">{escape(bar.shown)}</text>'
    return [*lines, shown]


def _legend(y: int) -> list[str]:
    lines, x = [], 24
    for state, words in WORDS.items():
        lines.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[state]}"/>')
        lines.append(f'<text x="{x + 18}" y="{y}" fill="#4a5568">{words}</text>')
        x += 170
    lines.append(f'<circle cx="{x + 6}" cy="{y - 4}" r="3" fill="#ffffff" stroke="#1a202c"/>')
    return [*lines, f'<text x="{x + 18}" y="{y}" fill="#4a5568">one round</text>']


def _x(score: float) -> float:
    """Where a multiple of the target stands, on a logarithmic axis."""
    share = log10(min(max(score, LEAST), MOST) / LEAST) / log10(MOST / LEAST)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)
