"""A graph of a computation, drawn as SVG: self-contained, the same for the same graph.

Paper and ink are set, not left to the reader's theme, as in the figures of `faces/plot.py`. What is computed hangs
below its op, or stands to its right; scalars show value | gradient, as micrograd's `draw_dot` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from moreish.errors import UsageError
from moreish.explaining.drawing.cards import (
    BETWEEN,
    BOTTOM,
    DARK,
    FONT,
    LEGEND,
    LIGHT,
    MARGIN,
    NAME,
    PAD,
    PILL,
    SMALL,
    TOP,
    Card,
    Colours,
    card_of,
    colour_of,
    kind_of,
    legend_of,
    width_of,
)
from moreish.explaining.drawing.graph import Graph
from moreish.explaining.drawing.layering import Layout, lay_out, layers
from moreish.text.alphabet import printable

MOST_NODES = 400
LEAST_WIDTH = 200


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
    layer = layers(len(graph.nodes), edges)
    starts, depths = _columns([card_of(node, True).size[0] for node in graph.nodes], layer, True)
    picture = _Picture(graph, edges, starts[-1] + depths[-1] + MARGIN <= width)
    return picture.svg(DARK if dark else LIGHT, width)


class _Picture:
    """A graph with everything in its place, still without colours."""

    def __init__(self, graph: Graph, edges: list[tuple[int, int]], across: bool):
        self.graph, self.edges, self.across = graph, edges, across
        self.cards = [card_of(node, across) for node in graph.nodes]
        sizes = [card.size for card in self.cards]
        self.layout: Layout = lay_out([size[1 if across else 0] for size in sizes], edges)
        depths = [size[0 if across else 1] for size in sizes]
        self.starts, self.depths = _columns(depths, self.layout.layer, across)
        long, broad = self.starts[-1] + self.depths[-1] + MARGIN, self.layout.breadth + 2 * MARGIN
        legend = sum(30 + width_of(label, SMALL) for _, label in legend_of(graph)) + 2 * MARGIN
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
        name = _safe(f"The graph of {self.graph.title}" if self.graph.title else "The graph of a computation")
        size = f'width="{_n(self.width * scale)}" height="{_n(self.height * scale)}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}" {size} '
            f'role="img" aria-label="{name}" font-family="{FONT}" font-size="{_n(SMALL)}">',
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
        drawn: dict[int, str] = {}
        for numbers in arriving.values():  # side by side in the order of where they come from, so as not to cross
            coming = sorted(numbers, key=lambda each: (self._comes_from(each), each))
            for at, each in enumerate(coming):
                drawn[each] = self._edge(each, at - (len(coming) - 1) / 2, len(coming), colours)
        return [drawn[number] for number in range(len(self.edges))]

    def _comes_from(self, number: int) -> float:
        return [self.layout.across[self.edges[number][0]], *self.layout.passing[number]][-1]

    def _edge(self, number: int, port: float, beside: int, colours: Colours) -> str:
        source, target = self.edges[number]
        spread = min(6.0, (10.0 if self.across else 14.0) / max(beside - 1, 1))
        first, last = self._leaves(source), self._enters(target, port * spread)
        points = [first]
        for at, place in enumerate(self.layout.passing[number], self.layout.layer[source] + 1):
            sides = self.starts[at], self.starts[at] + self.depths[at]
            points += [
                (self.shift + s, MARGIN + place) if self.across else (self.shift + MARGIN + place, s) for s in sides
            ]
        points.append(last)
        path = f"M{_n(first[0])} {_n(first[1])}"
        for (x1, y1), (x2, y2) in pairwise(points):
            if (x1 == x2 and not self.across) or (y1 == y2 and self.across):
                path += f"L{_n(x2)} {_n(y2)}"
            elif self.across:
                path += f"C{_n((x1 + x2) / 2)} {_n(y1)} {_n((x1 + x2) / 2)} {_n(y2)} {_n(x2)} {_n(y2)}"
            else:
                path += f"C{_n(x1)} {_n((y1 + y2) / 2)} {_n(x2)} {_n((y1 + y2) / 2)} {_n(x2)} {_n(y2)}"
        x, y = last
        head = ((x - 5, y - 3), last, (x - 5, y + 3)) if self.across else ((x - 3, y - 5), last, (x + 3, y - 5))
        path += "M" + "L".join(f"{_n(a)} {_n(b)}" for a, b in head)
        ends = (_safe(self.graph.nodes[at].name) for at in (source, target))
        has_none = "no gradient" in (kind_of(self.graph.nodes[source]), kind_of(self.graph.nodes[target]))
        dashes = ' stroke-dasharray="3 3"' if has_none else ""
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
        kind, colour = kind_of(node), colour_of(node, colours)
        weight = "2" if node.is_end else "1.2"
        dashes = ' stroke-dasharray="4 3"' if kind == "no gradient" else ""
        told = [f"{node.name} {node.shape}", node.op and f"by {node.op}", node.value, node.gradient, node.note]
        hint = _safe("; ".join(each for each in told if each))
        parts = [
            f'<g class="node" data-name="{_safe(node.name)}"><title>{hint}</title>',
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" rx="5" '
            f'fill="{colours.card}" stroke="{colour}" stroke-width="{weight}"{dashes}/>',
        ]
        name_at = left + PAD if card.shape else left + width / 2
        anchor = "" if card.shape else ' text-anchor="middle"'
        parts.append(
            _text(name_at, top + 15, card.name, colours.ink, f'{anchor} font-size="{_n(NAME)}" font-weight="600"')
        )
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

    def _numbers(self, card: Card, left: float, top: float, colours: Colours) -> list[str]:
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
        for node, label in legend_of(self.graph):
            if node is None:
                parts.append(_text(x, y + 4, label, colours.faint, ""))
                x += 30 + width_of(label, SMALL)
                continue
            dashes = ' stroke-dasharray="3 2"' if kind_of(node) == "no gradient" else ""
            parts.append(
                f'<rect x="{_n(x)}" y="{_n(y - 5)}" width="14" height="10" rx="2" fill="{colours.card}" '
                f'stroke="{colour_of(node, colours)}"{dashes}/>'
            )
            parts.append(_text(x + 19, y + 4, label, colours.faint, ""))
            x += 30 + width_of(label, SMALL) + 7
        return "".join([*parts, "</g>"])


def _columns(sizes: Sequence[float], layer: Sequence[int], across: bool) -> tuple[list[float], list[float]]:
    """Where each layer begins, and how deep it is."""
    depths = [0.0] * (max(layer) + 1)
    for at, size in zip(layer, sizes):
        depths[at] = max(depths[at], size)
    return [MARGIN + sum(depths[:at]) + at * BETWEEN[across] for at in range(len(depths))], depths


def _text(x: float, y: float, text: str, colour: str, more: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" fill="{colour}" xml:space="preserve"{more}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Text for XML, which cannot hold control characters even when they are escaped."""
    return escape(printable(text))


def _n(number: float) -> str:
    """A coordinate in as few digits as a drawing needs."""
    return f"{number:.1f}".removesuffix(".0")
