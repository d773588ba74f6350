"""Drawing in text: histograms, bars, and a table of counts as a picture. Measures nothing, judges nothing."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from moreish.text.alphabet import sign as sign  # with the other drawing, for those who draw

EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = " ▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """A horizontal bar of `share` (0 to 1) of `width` cells, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[rest] if rest else "")


def sparks(counts: list[int], width: int) -> str:
    """A histogram in one row of `width` cells, neighbours put together; what is there at all can be seen."""
    size = max(1, -(-len(counts) // width))
    sums = [sum(counts[i : i + size]) for i in range(0, len(counts), size)]
    most = max(sums, default=0) or 1
    return "".join(HEIGHTS[max(round(8 * n / most), int(n > 0))] for n in sums)


def histogram(counts: dict[int, int], width: int = 40, most_rows: int = 24) -> list[tuple[str, int, str]]:
    """Rows of (label, count, bar); neighbouring lengths share a row where there are more than `most_rows`."""
    if not counts:
        return []
    low, high = min(counts), max(counts)
    step = -(-(high - low + 1) // most_rows)
    rows = []
    for first in range(low, high + 1, step):
        label = str(first) if step == 1 else f"{first}-{min(first + step - 1, high)}"
        rows.append((label, sum(counts.get(n, 0) for n in range(first, first + step))))
    most = max(count for _, count in rows)
    return [(label, count, bar(count / most, width) or ("▏" if count else "")) for label, count in rows]


def heat(share: float) -> tuple[str, str]:
    """Background and foreground for a cell of intensity 0 to 1: pale to deep blue, legible on dark and light alike."""
    share = max(0.0, min(1.0, share))
    low, high = (222, 235, 247), (8, 48, 107)
    r, g, b = (round(x + (y - x) * share) for x, y in zip(low, high))
    return f"rgb({r},{g},{b})", "#ffffff" if share > 0.615 else "#000000"


def count_table(counts: list[list[int]], labels: list[str], width: int, colour: bool = True) -> Text:
    """A table of counts as a picture: row = the symbol before, column = the symbol after.

    Each cell is shaded by its share of the row, on a square-root scale, so that rare pairs still show, up to the
    table's largest share. With room the counts stand in the cells; in a narrow terminal cells are two columns of colour
    each. Without colour the counts are printed whatever the width.
    """
    roomy = next((size for size in (6, 5, 4) if width >= size * len(labels) + 4), 2)
    size = roomy if colour else max(roomy, 6)
    out = Text(" " * 3, no_wrap=True, overflow="ignore")
    for label in labels:
        out.append(_cut_to(label, size), style="bold")
    out.append("\n")
    most = max((count / sum(row) for row in counts for count in row if count), default=1.0)
    for label, row in zip(labels, counts):
        total = sum(row)
        out.append(f"{_cut_to(label, 2)} ", style="bold")
        for count in row:
            share = (count / total / most) ** 0.5 if total else 0.0
            background, foreground = heat(share)
            cell = short(count, size - 1) if size > 2 and count else ""
            out.append(f"{cell:>{size}}", style=f"{foreground} on {background}" if count else "default")
        out.append("\n")
    return out


def _cut_to(label: str, width: int) -> str:
    """The first two columns of a label, to the right of `width` columns: Chinese takes two columns a character."""
    start = chop_cells(label, 2)[0] if label else ""
    return " " * (width - cell_len(start)) + start


def has_colour(console: Console) -> bool:
    """Whether cells shaded by colour can be seen: not off a terminal, nor under NO_COLOR."""
    return console.color_system is not None and not console.no_color


def short(count: int, width: int) -> str:
    """A count in so many characters: thousands as k, millions as M."""
    for text in (str(count), f"{count / 1e3:.0f}k", f"{count / 1e6:.0f}M", f"{count / 1e9:.0f}G"):
        if len(text) <= width:
            return text
    return "#"
