"""How a node of a drawn graph looks: its texts cut to size, its measures, its colours."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from moreish.explaining.drawing.graph import Graph, Node
from moreish.text.alphabet import printable


@dataclass(frozen=True)
class Colours:
    """Of the paper and of what is on it."""

    paper: str
    ink: str
    faint: str
    line: str
    card: str
    blue: str
    green: str
    red: str


LIGHT = Colours("#ffffff", "#24292f", "#656d76", "#afb8c1", "#f6f8fa", "#0969da", "#1a7f37", "#b35900")
DARK = Colours("#0d1117", "#e6edf3", "#9198a1", "#545d68", "#161b22", "#58a6ff", "#3fb950", "#f0a35e")
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
NAME, SMALL = 13.0, 11.0
"""Sizes of letters, in pixels."""
ADVANCE = 0.61
"""Width of a letter of these fonts, by its size."""
PAD, MARGIN = 9.0, 22.0
TOP, BOTTOM, PILL = 21.0, 19.0, 18.0
"""Heights: of a card's line with the name, of its line with the numbers, of an op."""
OVERLAP = 4.0
"""Of an op over the card that hangs below it."""
LEGEND = 26.0
BETWEEN = {True: 46.0, False: 24.0}
"""Between layers: left to right, top to bottom."""
LONGEST_NAME, LONGEST_OP = 26, 22


@dataclass(frozen=True)
class Card:
    """A node with its texts cut to size; `across` is true where the graph runs left to right."""

    node: Node
    name: str
    shape: str
    op: str
    value: str
    gradient: str
    across: bool

    @property
    def cells(self) -> tuple[float, float]:
        """Widths of the value's cell and of the gradient's."""
        least = (width_of(self.name, NAME) + (width_of(self.shape, SMALL) + 12 if self.shape else 0) + 2 * PAD) / 2
        value, gradient = (width_of(text, SMALL) + 2 * PAD if text else 0.0 for text in (self.value, self.gradient))
        spare = max(0.0, 2 * least - value - gradient)
        return (value + spare / 2, gradient + spare / 2) if value and gradient else (value + spare, gradient)

    @property
    def pill(self) -> float:
        """Width of the op's frame."""
        return max(PILL + 4, width_of(self.op, SMALL) + 14) if self.op else 0.0

    @property
    def card(self) -> tuple[float, float]:
        """Width and height without the op."""
        return sum(self.cells), TOP + (BOTTOM if self.value or self.gradient else 4)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height with the op."""
        width, height = self.card
        if not self.op:
            return width, height
        return (width + self.pill + 6, height) if self.across else (max(width, self.pill), height + PILL - OVERLAP)


def kind_of(node: Node) -> str:
    """Which of the legend's kinds a node is."""
    if node.is_end:
        return "end"
    if node.note and not node.gradient:
        return "no gradient"
    return "computed" if node.op or node.parents else "input"


def colour_of(node: Node, colours: Colours) -> str:
    """Of a node's frame."""
    kinds = {"end": colours.green, "input": colours.blue, "no gradient": colours.faint, "computed": colours.line}
    return kinds[kind_of(node)]


def legend_of(graph: Graph) -> list[tuple[Node | None, str]]:
    """One node of each kind there is, with what the kind is called, and how to read the numbers."""
    labels = {"input": "input", "computed": "computed", "end": "backward starts here", "no gradient": "no gradient"}
    found = {kind_of(node): node for node in graph.nodes}
    kinds: list[tuple[Node | None, str]] = [(found[kind], label) for kind, label in labels.items() if kind in found]
    if any(node.gradient for node in graph.nodes):
        spread = any("±" in node.value + node.gradient for node in graph.nodes)
        kinds.append((None, "value | gradient" + (" (mean ± deviation)" if spread else "")))
    return kinds


def card_of(node: Node, across: bool) -> Card:
    """A node, ready to be drawn."""
    shape = str(tuple(node.shape)).replace(" ", "").replace(",)", ")") if node.shape else ""
    gradient = node.gradient or ("none" if node.note else "")
    op = node.op if cell_len(node.op) <= LONGEST_OP else re.sub(r"([(\[]).*([)\]])", r"\1…\2", node.op, flags=re.S)
    name, op = (_cut(printable(text), most) for text, most in ((node.name, LONGEST_NAME), (op, LONGEST_OP)))
    return Card(node, name, shape, op, printable(node.value), printable(gradient), across)


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


def width_of(text: str, size: float) -> float:
    """Of a text in letters of this size, in pixels."""
    return cell_len(text) * size * ADVANCE
