"""Points with names, drawn: as characters for a terminal, and how a symbol is named in any picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from moreish.faces.draw import sign
from moreish.shapes import BOUNDARY_SIGN

if TYPE_CHECKING:
    from moreish.explaining.embedding.measures import Embeddings, Neighbour, Place

COLOURS = ("red", "blue", "green", "magenta", "yellow")
"""Of the classes, in the terminal's own colours."""
LONGEST = 10
REACH = 2
"""Cells that a symbol may be pushed aside to find room."""


def label(symbol: str, is_blank: bool = False) -> str:
    """A symbol as it is drawn: the boundary has a sign, the blank before a line its name."""
    if is_blank:
        return "blank"
    shown = sign(symbol) if symbol else BOUNDARY_SIGN
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def place_label(place: Place) -> str:
    """A place's name in the picture."""
    return label(place.symbol, place.what == "blank")


def neighbour_label(found: Embeddings, near: Neighbour) -> str:
    """A neighbour's name: only the blank has an id above the symbols'."""
    return place_label(found.places[near.id])


def character_scatter(
    places: Sequence[tuple[float, float, str, str]], width: int, height: int
) -> tuple[Text, list[str]]:
    """Points (x, y, label, style) on a grid of characters, and the labels that found no room.

    What comes first keeps its place; what comes later moves aside by a cell or two.
    """
    grid: list[list[tuple[str, str] | None]] = [[None] * width for _ in range(height)]
    xs, ys = [x for x, *_ in places], [y for _, y, *_ in places]
    left: list[str] = []
    for x, y, name, style in places:
        size = cell_len(name)
        column = round(_share(x, xs) * (width - 1)) - size // 2
        row = round((1 - _share(y, ys)) * (height - 1))
        column = max(0, min(width - size, column))
        spot = _free(grid, row, column, size)
        if spot is None or size > width:
            left.append(name)
            continue
        row, column = spot
        grid[row][column] = (name, style)
        for taken in range(column + 1, column + size):
            grid[row][taken] = ("", "")
    out = Text(no_wrap=True, overflow="ignore")
    for i, cells in enumerate(grid):
        if i:
            out.append("\n")
        for cell in cells:
            out.append(*cell) if cell else out.append(" ")
    return out, left


def _share(value: float, values: list[float]) -> float:
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 0.5


def _free(grid: list[list[tuple[str, str] | None]], row: int, column: int, size: int) -> tuple[int, int] | None:
    """The nearest room for a label: on its row first, then a row or two away."""
    steps = sorted(
        ((dy, dx) for dy in range(-1, 2) for dx in range(-REACH, REACH + 1)), key=lambda s: abs(s[0]) * 2 + abs(s[1])
    )
    for dy, dx in steps:
        y, x = row + dy, column + dx
        if not 0 <= y < len(grid) or not 0 <= x <= len(grid[0]) - size:
            continue
        # A neighbour on the same row must not look like part of the same word.
        around = range(max(0, x - (size > 1)), min(len(grid[0]), x + size + (size > 1)))
        if all(grid[y][i] is None for i in around):
            return y, x
    return None
