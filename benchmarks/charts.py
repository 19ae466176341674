"""Bar charts as SVG, readable on light and on dark pages."""

from collections.abc import Collection, Sequence
from html import escape

_LABELS = 260  # pixels
_BARS = 420
_VALUES = 80
_ROW = 28
_TOP = 40

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
rect { fill: #9aa4b0 }
rect.ours { fill: #1a7f64 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect { fill: #6e7681 } rect.ours { fill: #3fb68b } }
"""


def bar_chart(title: str, bars: Sequence[tuple[str, float]], emphasised: Collection[str]) -> str:
    """A horizontal bar for each name and value, in their order."""
    longest = max(value for _, value in bars)
    rows = [
        _bar(_TOP + number * _ROW, name, value, _BARS * value / longest, ours=name in emphasised)
        for number, (name, value) in enumerate(bars)
    ]
    width, height = _LABELS + _BARS + _VALUES, _TOP + len(bars) * _ROW + 10
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="0" y="18">{escape(title)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _bar(top: int, name: str, value: float, length: float, *, ours: bool) -> str:
    kind = ' class="ours"' if ours else ""
    return (
        f'<text x="{_LABELS - 10}" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
        f'<rect{kind} x="{_LABELS}" y="{top}" width="{max(length, 1):.1f}" height="{_ROW - 8}" rx="2"/>'
        f'<text x="{_LABELS + length + 8:.1f}" y="{top + 15}">{value:,.0f}</text>'
    )
