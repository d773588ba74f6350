"""Curves as characters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

HEIGHT = 12
LABEL = 8


def character_curves(
    curves: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], width: int, height: int = HEIGHT
) -> Text:
    """Points of curves (mark, style, [(x, y)]) over a scale of x and y; what comes last lies on top."""
    points = [point for _, _, curve in curves for point in curve]
    low, high = min(y for _, y in points), max(y for _, y in points)
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    across = max(8, width - LABEL - 2)
    grid = [[(" ", "")] * across for _ in range(height)]
    for mark, style, curve in curves:
        for x, y in curve:
            row = round((1 - _share(y, low, high)) * (height - 1))
            grid[row][round(_share(x, left, right) * (across - 1))] = (mark, style)
    out = Text(no_wrap=True, overflow="ignore")
    for i, cells in enumerate(grid):
        value = high - (high - low) * i / (height - 1)
        out.append(f"{value:{LABEL}.3f}" if i % 3 == 0 or i == height - 1 else " " * LABEL, "dim")
        out.append(" │", "dim")
        for cell in cells:
            out.append(*cell)
        out.append("\n")
    first, last = f"{left:,.0f}", f"step {right:,.0f}"
    out.append(" " * (LABEL + 1) + "└" + "─" * across + "\n", "dim")
    out.append(" " * (LABEL + 2) + first + last.rjust(max(1, across - len(first))), "dim")
    return out


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
