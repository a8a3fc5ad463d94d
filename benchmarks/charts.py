"""Bar and line charts as SVG without a library, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.figures import Spread

_WIDTH, _LABELS, _VALUES, _BAR, _GAP, _TOP = 760, 170, 190, 24, 14, 56
_HEIGHT, _MARGIN, _NAMES = 260, 52, 110
_COLOURS = ("#2a78b5", "#c2571a", "#2e8b57", "#8e5bb5", "#b8860b", "#c0395b", "#5f6b73")
_OURS, _OTHERS, _RANGE = "#2a78b5", "#9aa7b1", "#444b52"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A bar. is_ours: drawn in the highlight colour."""

    name: str
    figure: Spread
    is_ours: bool = False


def bars(title: str, unit: str, shown: Sequence[Bar]) -> str:
    """Draw bars of the medians, with a thin line from the lowest to the highest round."""
    room = _WIDTH - _LABELS - _VALUES
    longest = max((bar.figure.highest for bar in shown), default=0.0) or 1.0
    parts = _head(title, unit, _TOP + len(shown) * (_BAR + _GAP) + _GAP)
    for number, bar in enumerate(shown):
        top = _TOP + number * (_BAR + _GAP)
        middle = top + _BAR / 2
        length, low, high = (
            room * value / longest for value in (bar.figure.median, bar.figure.lowest, bar.figure.highest)
        )
        colour = _OURS if bar.is_ours else _OTHERS
        parts += [
            f'<text x="{_LABELS - 10}" y="{middle + 5:g}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{_LABELS + low:.1f}" x2="{_LABELS + high:.1f}" y1="{middle:g}" y2="{middle:g}"'
            f' stroke="{_RANGE}" stroke-width="2"/>',
            f'<text x="{_LABELS + high + 10:.1f}" y="{middle + 5:g}">{bar.figure.median:,.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """points: (x, y), by x."""

    name: str
    points: Sequence[tuple[float, float]]


def lines(title: str, unit: str, shown: Sequence[Line]) -> str:
    """Draw lines labelled at their ends; both axes begin at 0 and show their maximum."""
    widest = max((x for line in shown for x, _ in line.points), default=0.0) or 1.0
    highest = max((y for line in shown for _, y in line.points), default=0.0) or 1.0
    bottom = _TOP + _HEIGHT
    parts = _head(title, unit, bottom + 28)
    parts += [
        f'<path d="M{_MARGIN} {_TOP}V{bottom}H{_WIDTH - _NAMES}" fill="none" stroke="{_RANGE}"/>',
        f'<text x="{_MARGIN - 8}" y="{_TOP + 5}" text-anchor="end">{highest:,.0f}</text>',
        f'<text x="{_MARGIN - 8}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_WIDTH - _NAMES}" y="{bottom + 20}" text-anchor="end">{widest:,.0f}</text>',
    ]
    named: list[float] = []
    for line in sorted(shown, key=lambda line: -line.points[-1][1]):
        drawn = [
            (
                _MARGIN + (_WIDTH - _NAMES - _MARGIN) * x / widest,
                bottom - _HEIGHT * y / highest,
            )
            for x, y in line.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        colour = _COLOURS[len(named) % len(_COLOURS)]
        # Labels must not overlap where lines are close together.
        y = max(drawn[-1][1] + 5, named[-1] + 17 if named else 0.0)
        named.append(y)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{_WIDTH - _NAMES + 8}" y="{y:.1f}" fill="{colour}">{escape(line.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _head(title: str, unit: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="14" fill="currentColor">',
        f"<title>{escape(title)}</title>",
        "<style>svg{color:#1b1f23}@media(prefers-color-scheme:dark){svg{color:#e6e8ea}}</style>",
        f'<text x="0" y="20" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="0" y="40" opacity="0.75">{escape(unit)}</text>',
    ]
