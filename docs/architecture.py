"""Draws architecture.svg, the picture of docs/architecture.md.

It is SVG text without a plotting library: the same on every machine, and its words can be searched
and read aloud.
"""

from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 480, 690
COLUMNS = (24, 177, 330)
BOX_WIDTH, BOX_HEIGHT = 126, 36
INK, FRAME, FILL, BAND = "#1a1a1a", "#0072B2", "#ffffff", "#e8f1f8"
TITLE = "How data flows between a training loop, clr_adapters and clrcore"


def band(y: int, height: int, label: str) -> str:
    """A frame over the whole width with its label in the upper left corner."""
    return (
        f'<rect x="10" y="{y}" width="{WIDTH - 20}" height="{height}" rx="8" fill="{BAND}"/>'
        + words(22, y + 21, label, anchor="start", weight="bold")
    )


def box(x: int, y: int, label: str, width: int = BOX_WIDTH) -> str:
    """A name in a frame."""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT}" rx="5" fill="{FILL}" '
        f'stroke="{FRAME}" stroke-width="1.5"/>' + words(x + width // 2, y + 23, label)
    )


def words(x: int, y: int, text: str, anchor: str = "middle", weight: str = "normal") -> str:
    """A line of text."""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
    )


def arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    """A line with a head at its end."""
    return (
        f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{INK}" stroke-width="1.5" '
        'marker-end="url(#head)"/>'
    )


def drawing() -> str:
    """The picture as SVG."""
    left, middle, right = COLUMNS
    centre = [x + BOX_WIDTH // 2 for x in COLUMNS]
    parts = [
        band(26, 34, "your training loop, one update after another"),
        # between the loop and the adapters
        arrow(150, 118, 150, 66),
        words(142, 97, "rates", anchor="end"),
        arrow(320, 62, 320, 114),
        words(330, 93, "losses, metrics", anchor="start"),
        band(120, 125, "clr_adapters"),
        *[box(x, 152, name) for x, name in zip(COLUMNS, ("torch", "keras", "jax"), strict=True)],
        box(left, 198, "plot"),
        box(middle, 198, "cli (with the demo)", width=right + BOX_WIDTH - middle),
        # between the adapters and the core
        arrow(150, 303, 150, 251),
        words(142, 282, "rates", anchor="end"),
        arrow(320, 247, 320, 299),
        words(330, 278, "losses, metrics", anchor="start"),
        band(305, 375, "clrcore"),
        box(left, 340, "RangeTest"),
        arrow(left + BOX_WIDTH, 358, middle - 6, 358),
        box(middle, 340, "Curve"),
        arrow(middle + BOX_WIDTH, 358, right - 6, 358),
        box(right, 340, "suggest_bounds"),
        arrow(centre[2], 376, centre[2], 414),
        box(right, 420, "Confirmation"),
        arrow(centre[2], 456, centre[2], 494),
        box(right, 500, "Bounds"),
        arrow(right, 518, left + BOX_WIDTH + 6, 518),
        words(centre[1], 510, "policy()"),
        box(left, 500, "Policy"),
        arrow(centre[0], 500, centre[0], 382),
        words(centre[0] + 8, 446, "sweep", anchor="start"),
        arrow(centre[0], 536, centre[0], 574),
        box(left, 580, "Scheduler"),
        arrow(left + BOX_WIDTH, 598, right - 6, 598),
        words(centre[1], 590, "cycle ends"),
        box(right, 580, "CycleMonitor"),
        arrow(centre[2], 580, centre[2], 542),
        words(centre[2] - 8, 566, "lower", anchor="end"),
        box(left, 630, "cycles, windows, scales, arithmetic, arguments", width=WIDTH - 2 * left),
    ]
    body = "\n".join(parts)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" \
height="{HEIGHT}" font-family="sans-serif" font-size="15" fill="{INK}" role="img">
<title>{TITLE}</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
{body}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
