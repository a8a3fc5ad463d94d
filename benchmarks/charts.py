"""Bar charts as SVG, drawn with a few lines: no library, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.figures import Spread

_WIDTH, _LABELS, _VALUES, _BAR, _GAP, _TOP = 760, 170, 190, 24, 14, 56
_OURS, _OTHERS, _RANGE = "#2a78b5", "#9aa7b1", "#444b52"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """is_ours: in the colour that stands out."""

    name: str
    figure: Spread
    is_ours: bool = False


def bars(title: str, unit: str, shown: Sequence[Bar]) -> str:
    """One bar each, as long as its median; a thin line from its lowest to its highest round."""
    room = _WIDTH - _LABELS - _VALUES
    longest = max((bar.figure.highest for bar in shown), default=0.0) or 1.0
    height = _TOP + len(shown) * (_BAR + _GAP) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' font-family="sans-serif" font-size="14" fill="currentColor">',
        f"<title>{escape(title)}</title>",
        "<style>svg{color:#1b1f23}@media(prefers-color-scheme:dark){svg{color:#e6e8ea}}</style>",
        f'<text x="0" y="20" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="0" y="40" opacity="0.75">{escape(unit)}</text>',
    ]
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
