"""A graph of a computation, drawn as SVG: self-contained, the same for the same graph.

Paper and ink are set, not left to the reader's theme, as in the figures of `faces/plot.py`. What is computed hangs below
its op, or stands to its right; scalars show value | gradient, as micrograd's `draw_dot` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from rich.cells import cell_len, set_cell_size

from moreish.errors import UsageError
from moreish.explaining.graph import Graph, Node
from moreish.explaining.layering import Layout, lay_out

MOST_NODES = 400
LEAST_WIDTH = 200


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
class _Card:
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
        least = (_width(self.name, NAME) + (_width(self.shape, SMALL) + 12 if self.shape else 0) + 2 * PAD) / 2
        value, gradient = (_width(text, SMALL) + 2 * PAD if text else 0.0 for text in (self.value, self.gradient))
        spare = max(0.0, 2 * least - value - gradient)
        return (value + spare / 2, gradient + spare / 2) if value and gradient else (value + spare, gradient)

    @property
    def pill(self) -> float:
        return max(PILL + 4, _width(self.op, SMALL) + 14) if self.op else 0.0

    @property
    def card(self) -> tuple[float, float]:
        return sum(self.cells), TOP + (BOTTOM if self.value or self.gradient else 4)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height with the op."""
        width, height = self.card
        if not self.op:
            return width, height
        return (width + self.pill + 6, height) if self.across else (max(width, self.pill), height + PILL - OVERLAP)


def draw(graph: Graph, dark: bool = False, width: int = 960) -> str:
    """A graph as SVG text; wider than `width` pixels it runs top to bottom, and is scaled down where it must be.

    Raises:
        UsageError: it has no nodes, or more than can be seen, or `width` leaves no room.
    """
    if not graph.nodes:
        raise UsageError("the graph has no nodes, so there is nothing to draw. Record something first.")
    if len(graph.nodes) > MOST_NODES:
        raise UsageError(
            f"the graph has {len(graph.nodes):,} nodes, and {MOST_NODES} can still be told apart in a drawing. "
            f"Draw a smaller part of it, or read it as text."
        )
    if width < LEAST_WIDTH:
        raise UsageError(f"width={width} leaves no room for a drawing. Give {LEAST_WIDTH} pixels or more.")
    numbers = {node.name: at for at, node in enumerate(graph.nodes)}
    edges = [(numbers[parent], at) for at, node in enumerate(graph.nodes) for parent in node.parents]
    picture = _Picture(graph, edges, True)
    if picture.width > width:
        picture = _Picture(graph, edges, False)
    return picture.svg(DARK if dark else LIGHT, width)


class _Picture:
    """A graph with everything in its place, still without colours."""

    def __init__(self, graph: Graph, edges: list[tuple[int, int]], across: bool):
        self.graph, self.edges, self.across = graph, edges, across
        self.cards = [_card(node, across) for node in graph.nodes]
        sizes = [card.size for card in self.cards]
        self.layout: Layout = lay_out([size[1 if across else 0] for size in sizes], edges)
        depths = [0.0] * (max(self.layout.layer) + 1)
        for at, size in zip(self.layout.layer, sizes):
            depths[at] = max(depths[at], size[0 if across else 1])
        self.starts = [MARGIN + sum(depths[:at]) + at * BETWEEN[across] for at in range(len(depths))]
        self.depths = depths
        long, broad = self.starts[-1] + depths[-1] + MARGIN, self.layout.breadth + 2 * MARGIN
        legend = sum(30 + _width(label, SMALL) for _, label in _kinds(graph)) + 2 * MARGIN
        self.width = max(long if across else broad, legend)
        self.shift = (self.width - (long if across else broad)) / 2
        self.height = (broad if across else long) + LEGEND

    def corner(self, at: int) -> tuple[float, float]:
        """The upper left corner of a node, its op included."""
        layer, (width, height) = self.layout.layer[at], self.cards[at].size
        if self.across:
            along = self.starts[layer] + self.depths[layer] - width  # cards of a column end together
            return self.shift + along, MARGIN + self.layout.across[at] - height / 2
        return self.shift + MARGIN + self.layout.across[at] - width / 2, self.starts[layer]

    def svg(self, colours: Colours, width: int) -> str:
        """The whole file."""
        scale = min(1.0, width / self.width)
        name = escape(f"The graph of {self.graph.title}" if self.graph.title else "The graph of a computation")
        size = f'width="{_n(self.width * scale)}" height="{_n(self.height * scale)}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}" {size} role="img" '
            f'aria-label="{name}" font-family="{FONT}" font-size="{_n(SMALL)}">',
            f"<title>{name}</title>",
            f'<rect x="0.5" y="0.5" width="{_n(self.width - 1)}" height="{_n(self.height - 1)}" rx="8" '
            f'fill="{colours.paper}" stroke="{colours.line}" stroke-opacity="0.5"/>',
            f'<g fill="none" stroke="{colours.faint}" stroke-width="1.3" stroke-linecap="round">',
            *self._edges(colours),
            "</g>",
            *(self._node(at, colours) for at in range(len(self.cards))),
            self._legend(colours),
            "</svg>\n",
        ]
        return "\n".join(parts)

    def _edges(self, colours: Colours) -> list[str]:
        arriving: dict[int, list[int]] = {}
        for number, (_, target) in enumerate(self.edges):
            arriving.setdefault(target, []).append(number)
        port: dict[int, float] = {}
        for numbers in arriving.values():  # side by side in the order of where they come from, so as not to cross
            coming = sorted(numbers, key=lambda each: (([self.layout.across[self.edges[each][0]], *self.layout.passing[each]])[-1], each))
            port |= {each: at - (len(coming) - 1) / 2 for at, each in enumerate(coming)}
        return [self._edge(number, port[number], len(arriving[self.edges[number][1]])) for number in range(len(self.edges))]

    def _edge(self, number: int, port: float, beside: int) -> str:
        source, target = self.edges[number]
        spread = min(6.0, (10.0 if self.across else 14.0) / max(beside - 1, 1))
        first, last = self._leaves(source), self._enters(target, port * spread)
        points = [first]
        for at, place in enumerate(self.layout.passing[number], self.layout.layer[source] + 1):
            sides = self.starts[at], self.starts[at] + self.depths[at]
            points += [(self.shift + s, MARGIN + place) if self.across else (self.shift + MARGIN + place, s) for s in sides]
        points.append(last)
        path = f"M{_n(first[0])} {_n(first[1])}"
        for (x1, y1), (x2, y2) in zip(points, points[1:]):
            if (x1 == x2 and not self.across) or (y1 == y2 and self.across):
                path += f"L{_n(x2)} {_n(y2)}"
            elif self.across:
                path += f"C{_n((x1 + x2) / 2)} {_n(y1)} {_n((x1 + x2) / 2)} {_n(y2)} {_n(x2)} {_n(y2)}"
            else:
                path += f"C{_n(x1)} {_n((y1 + y2) / 2)} {_n(x2)} {_n((y1 + y2) / 2)} {_n(x2)} {_n(y2)}"
        x, y = last
        head = ((x - 5, y - 3), last, (x - 5, y + 3)) if self.across else ((x - 3, y - 5), last, (x + 3, y - 5))
        path += "M" + "L".join(f"{_n(a)} {_n(b)}" for a, b in head)
        ends = (escape(self.graph.nodes[at].name) for at in (source, target))
        dashes = "" if self.graph.nodes[source].gradient else ' stroke-dasharray="3 3"'
        return '<path class="edge" data-from="{}" data-to="{}" d="{}"{}/>'.format(*ends, path, dashes)

    def _leaves(self, at: int) -> tuple[float, float]:
        (x, y), (width, height) = self.corner(at), self.cards[at].size
        return (x + width, y + height / 2) if self.across else (x + width / 2, y + height)

    def _enters(self, at: int, beside: float) -> tuple[float, float]:
        (x, y), (width, height) = self.corner(at), self.cards[at].size
        return (x, y + height / 2 + beside) if self.across else (x + width / 2 + beside, y)

    def _node(self, at: int, colours: Colours) -> str:
        card, node = self.cards[at], self.graph.nodes[at]
        x, y = self.corner(at)
        width, height = card.card
        left = x + card.size[0] - width if self.across else x + (card.size[0] - width) / 2
        top = y + card.size[1] - height
        kind, colour = _kind(node), _colour(node, colours)
        weight = "2" if node.is_end else "1.2"
        dashes = ' stroke-dasharray="4 3"' if kind == "no gradient" else ""
        told = [f"{node.name} {node.shape}", node.op and f"by {node.op}", node.value, node.gradient, node.note]
        parts = [
            f'<g class="node" data-name="{escape(node.name)}"><title>{escape("; ".join(each for each in told if each))}</title>',
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" rx="5" fill="{colours.card}" '
            f'stroke="{colour}" stroke-width="{weight}"{dashes}/>',
        ]
        name_at = left + PAD if card.shape else left + width / 2
        anchor = "" if card.shape else ' text-anchor="middle"'
        parts.append(_text(name_at, top + 15, card.name, colours.ink, f'{anchor} font-size="{_n(NAME)}" font-weight="600"'))
        if card.shape:
            parts.append(_text(left + width - PAD, top + 15, card.shape, colours.faint, ' text-anchor="end"'))
        parts += self._numbers(card, left, top, colours)
        if card.op:
            middle = (x + card.pill / 2, y + height / 2) if self.across else (x + card.size[0] / 2, y + PILL / 2)
            parts.append(
                f'<rect x="{_n(middle[0] - card.pill / 2)}" y="{_n(middle[1] - PILL / 2)}" width="{_n(card.pill)}" '
                f'height="{_n(PILL)}" rx="{_n(PILL / 2)}" fill="{colours.paper}" stroke="{colour}"/>'
            )
            parts.append(_text(middle[0], middle[1] + 4, card.op, colours.ink, ' text-anchor="middle"'))
        return "".join([*parts, "</g>"])

    def _numbers(self, card: _Card, left: float, top: float, colours: Colours) -> list[str]:
        value, gradient = card.cells
        parts = []
        if card.value or card.gradient:
            line = f"M{_n(left)} {_n(top + TOP)}h{_n(value + gradient)}"
            line += f"M{_n(left + value)} {_n(top + TOP)}v{_n(BOTTOM)}" if card.value and card.gradient else ""
            parts.append(f'<path d="{line}" stroke="{colours.line}" stroke-opacity="0.6"/>')
        middle = ' text-anchor="middle"'
        if card.value:
            parts.append(_text(left + value / 2, top + TOP + 13.5, card.value, colours.ink, middle))
        if card.gradient:
            has_one = bool(card.node.gradient)
            colour = colours.red if has_one else colours.faint
            parts.append(_text(left + value + gradient / 2, top + TOP + 13.5, card.gradient, colour, middle))
        return parts

    def _legend(self, colours: Colours) -> str:
        x, y = MARGIN, self.height - 18
        parts = ['<g class="legend">']
        for node, label in _kinds(self.graph):
            if node is None:
                parts.append(_text(x, y + 4, label, colours.faint, ""))
                x += 30 + _width(label, SMALL)
                continue
            dashes = ' stroke-dasharray="3 2"' if _kind(node) == "no gradient" else ""
            parts.append(
                f'<rect x="{_n(x)}" y="{_n(y - 5)}" width="14" height="10" rx="2" fill="{colours.card}" '
                f'stroke="{_colour(node, colours)}"{dashes}/>'
            )
            parts.append(_text(x + 19, y + 4, label, colours.faint, ""))
            x += 30 + _width(label, SMALL) + 7
        return "".join([*parts, "</g>"])


def _kind(node: Node) -> str:
    if node.is_end:
        return "end"
    if node.note and not node.gradient:
        return "no gradient"
    return "computed" if node.op or node.parents else "input"


def _colour(node: Node, colours: Colours) -> str:
    return {"end": colours.green, "input": colours.blue, "no gradient": colours.faint, "computed": colours.line}[_kind(node)]


def _kinds(graph: Graph) -> list[tuple[Node | None, str]]:
    """One node of each kind there is, with what the kind is called, and how to read the numbers."""
    labels = {"input": "input", "computed": "computed", "end": "backward starts here", "no gradient": "no gradient"}
    found = {_kind(node): node for node in graph.nodes}
    kinds: list[tuple[Node | None, str]] = [(found[kind], label) for kind, label in labels.items() if kind in found]
    if any(node.gradient for node in graph.nodes):
        spread = any("±" in node.value + node.gradient for node in graph.nodes)
        kinds.append((None, "value | gradient" + (" (mean ± deviation)" if spread else "")))
    return kinds


def _card(node: Node, across: bool) -> _Card:
    shape = str(tuple(node.shape)).replace(" ", "").replace(",)", ")") if node.shape else ""
    gradient = node.gradient or ("none" if node.note else "")
    op = node.op if cell_len(node.op) <= LONGEST_OP else re.sub(r"([(\[]).*([)\]])", r"\1…\2", node.op, flags=re.S)
    return _Card(node, _cut(node.name, LONGEST_NAME), shape, _cut(op, LONGEST_OP), node.value, gradient, across)


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


def _width(text: str, size: float) -> float:
    return cell_len(text) * size * ADVANCE


def _text(x: float, y: float, text: str, colour: str, more: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="{colour}" xml:space="preserve"{more}>{escape(text)}</text>'


def _n(number: float) -> str:
    """A coordinate in as few digits as a drawing needs."""
    return f"{number:.1f}".removesuffix(".0")
