"""Drawn graphs: well-formed, whole, within their paper, nothing on top of anything else, and few edges crossing."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from tape_cases import CASES, lecture, micrograd

from moreish.errors import UsageError
from moreish.explaining.drawing.cards import DARK, LIGHT
from moreish.explaining.drawing.diagram import draw
from moreish.explaining.drawing.graph import Graph, Node
from moreish.explaining.drawing.layering import crossings, lay_out, layers

SVG = "{http://www.w3.org/2000/svg}"
ODD = ("<b>", "a&b", '"quoted"', "it's", "x" * 90, "名前", "nul\x00", "line\nbreak", "]]>", "\ud800")


def node(name: str, *parents: str, op: str = "", **more) -> Node:
    return Node(name, op or ("+" if parents else ""), (), parents, value="1.0000", **more)


def odd_names() -> Graph:
    nodes = [node(name, gradient="0.5000") for name in ODD]
    end = Node('end <&">', 'op "<&>" with (a long, long list of arguments)', (2, 3), ODD, "<&", "&>", "\"'", True)
    return Graph((*nodes, end), title='<title> & "more"')


def at_random(seed: int, count: int) -> Graph:
    chooser = random.Random(seed)
    nodes: list[Node] = []
    for at in range(count):
        parents = chooser.choices([each.name for each in nodes], k=chooser.randint(0, min(3, at))) if nodes else []
        shape = chooser.choice([(), (32, 64), (5,)])
        note = chooser.choice(["", "", "None, for a reason."])
        gradient = "" if note else "-12.3456"
        nodes.append(Node(f"n{at}", "tanh" if parents else "", shape, tuple(parents), "0.12 ± 3.4", gradient, note))
    return Graph(tuple(nodes))


GRAPHS = {
    "one node": Graph((node("x"),)),
    "two nodes": Graph((node("x"), node("y", "x"))),
    "the same twice": Graph((node("x"), node("y", "x", "x"))),
    "chain": Graph((node("n0"), *(node(f"n{at}", f"n{at - 1}") for at in range(1, 30)))),
    "apart": Graph((node("x"), node("y"), node("z", "x"), node("w", "y"))),
    "many into one": Graph((*(node(f"n{at}") for at in range(30)), node("sum", *(f"n{at}" for at in range(30))))),
    "odd names": odd_names(),
    **{f"random {count}": at_random(count, count) for count in (5, 12, 30, 60)},
    **{make.__name__: make().graph() for make in CASES},
}


def drawn(graph: Graph, **options) -> ET.Element:
    return ET.fromstring(draw(graph, **options))


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", text)]


def boxes(root: ET.Element) -> dict[str, list[tuple[float, float, float, float]]]:
    """Of each node, the rectangles that it is drawn with: (left, top, right, bottom)."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "node":
            sides = [
                [float(rect.get(key, "0")) for key in ("x", "y", "width", "height")]
                for rect in group.iter(f"{SVG}rect")
            ]
            found[group.get("data-name")] = [(x, y, x + w, y + h) for x, y, w, h in sides]
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_and_edge_is_drawn_once(name, dark):
    graph, root = GRAPHS[name], drawn(GRAPHS[name], dark=dark)
    safe = {
        each.name: each.name.replace("\x00", "\\x00").replace("\n", "\\x0a").replace("\ud800", "\\ud800")
        for each in graph.nodes
    }
    groups = [each.get("data-name") for each in root.iter(f"{SVG}g") if each.get("class") == "node"]
    assert groups == [safe[each.name] for each in graph.nodes]
    edges = [
        (each.get("data-from"), each.get("data-to")) for each in root.iter(f"{SVG}path") if each.get("class") == "edge"
    ]
    wanted = [(safe[parent], safe[each.name]) for each in graph.nodes for parent in each.parents]
    assert Counter(edges) == Counter(wanted)
    texts = " ".join("".join(each.itertext()) for each in root.iter(f"{SVG}text"))
    for each in graph.nodes:
        assert safe[each.name][:20] in texts and each.value in texts and each.gradient in texts


@pytest.mark.parametrize("width", [300, 960])
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_is_outside_the_paper(name, width):
    root = drawn(GRAPHS[name], width=width)
    left, top, right, bottom = numbers(root.get("viewBox"))
    assert (left, top) == (0, 0) and float(root.get("width")) <= width + 0.1
    assert float(root.get("width")) / float(root.get("height")) == pytest.approx(right / bottom, rel=0.01)
    for rects in boxes(root).values():
        for x1, y1, x2, y2 in rects:
            assert 0 <= x1 < x2 <= right and 0 <= y1 < y2 <= bottom
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == "edge":
            places = numbers(path.get("d"))
            assert min(places[::2]) >= 0 and max(places[::2]) <= right
            assert min(places[1::2]) >= 0 and max(places[1::2]) <= bottom
    for text in root.iter(f"{SVG}text"):
        size = float(text.get("font-size", "11"))
        long = sum(2 if ord(c) > 0x2E80 else 1 for c in text.text) * size * 0.6
        start = float(text.get("x")) - {"middle": long / 2, "end": long}.get(text.get("text-anchor"), 0)
        assert start >= 0 and start + long <= right, text.text


@pytest.mark.parametrize("name", GRAPHS)
def test_no_card_lies_on_another_and_no_edge_runs_through_one(name):
    root = drawn(GRAPHS[name])
    cards = {name: rects[0] for name, rects in boxes(root).items()}
    places = list(cards.items())
    for at, (one, a) in enumerate(places):
        for other, b in places[at + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{one} lies on {other}"
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == "edge":
            own = {path.get("data-from"), path.get("data-to")}
            for x, y in along(path.get("d")):
                for other, (x1, y1, x2, y2) in places:
                    assert other in own or not (x1 < x < x2 and y1 < y < y2), f"an edge of {own} runs through {other}"


def along(d: str) -> list[tuple[float, float]]:
    """Points on a path of straight lines and cubic curves."""
    found, now = [], (0.0, 0.0)
    for letter, rest in re.findall(r"([MLC])([^MLC]*)", d):
        places = numbers(rest)
        if letter == "C":
            (x1, y1), (x2, y2), (x3, y3) = zip(places[::2], places[1::2])
            for step in range(1, 11):
                t = step / 10
                a, b, c, e = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
                found.append((a * now[0] + b * x1 + c * x2 + e * x3, a * now[1] + b * y1 + c * y2 + e * y3))
        elif letter == "L":
            found += [
                (now[0] + (places[0] - now[0]) * s / 10, now[1] + (places[1] - now[1]) * s / 10) for s in range(11)
            ]
        now = (places[-2], places[-1])
    return found


def test_drawings_stand_alone_and_are_the_same_each_time():
    for graph in GRAPHS.values():
        for dark in (False, True):
            text = draw(graph, dark=dark)
            assert text == draw(graph, dark=dark)
            assert text.count("http") == 1 and 'xmlns="http://www.w3.org/2000/svg"' in text
            assert not re.search(r"<script|<image|<foreignObject|@import|url\(|href|<style| on\w+=|font-face", text)
            colours = DARK if dark else LIGHT
            assert colours.paper in text and colours.ink in text
    assert re.sub("#[0-9a-f]{6}", "", draw(lecture().graph())) == re.sub(
        "#[0-9a-f]{6}", "", draw(lecture().graph(), dark=True)
    )


def contrast(one: str, other: str) -> float:
    """As WCAG 2.1 has it: 4.5 and more is legible."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_all_that_is_written_is_legible(colours):
    for paper in (colours.paper, colours.card):
        for ink in (colours.ink, colours.faint, colours.red):
            assert contrast(ink, paper) >= 4.5


def test_small_graphs_run_left_to_right_and_long_ones_down():
    small = boxes(drawn(GRAPHS["two nodes"]))
    assert small["x"][0][2] < small["y"][0][0]
    long = boxes(drawn(micrograd().graph()))
    assert long["a"][0][3] < long["c_1"][0][1] < long["g_2"][0][1]


@pytest.mark.parametrize(
    ("graph", "options", "said"),
    [
        (Graph(()), {}, "nothing to draw"),
        (at_random(1, 401), {}, "401 nodes, and 400 can still be told apart"),
        (GRAPHS["two nodes"], {"width": 20}, "Give 200 pixels or more"),
    ],
)
def test_what_cannot_be_drawn_is_told(graph, options, said):
    with pytest.raises(UsageError, match=said):
        draw(graph, **options)


# The layout.


def count_crossings(edges: list[tuple[int, int]], count: int) -> int:
    """By trying every pair of edges between neighbouring layers, of a layout whose edges are all short."""
    layout = lay_out([20.0] * count, edges)
    ends = [(layout.layer[a], layout.across[a], layout.across[b]) for a, b in edges]
    return sum(
        one[0] == other[0] and (one[1] - other[1]) * (one[2] - other[2]) < 0
        for at, one in enumerate(ends)
        for other in ends[at + 1 :]
    )


def test_what_can_be_drawn_without_crossings_is():
    tree = [(at, at // 2 + 16) for at in range(16)] + [(at + 16, at // 2 + 24) for at in range(8)]
    assert count_crossings(tree, 28) == 0
    chooser = random.Random(2)
    for _ in range(10):  # chains side by side, their nodes in any order
        order = list(range(12))
        chooser.shuffle(order)
        below = list(range(12, 24))
        assert count_crossings(list(zip(order, below)), 24) == 0
    assert crossings([0, 1], [2, 3], [[3], [2], [], []]) == 1
    assert crossings([0, 1], [2, 3], [[2, 3], [2, 3], [], []]) == 1


@pytest.mark.parametrize("name", GRAPHS)
def test_layers_are_in_the_order_of_computing(name):
    nodes = GRAPHS[name].nodes
    at = {each.name: number for number, each in enumerate(nodes)}
    edges = [(at[parent], at[each.name]) for each in nodes for parent in each.parents]
    layer = layers(len(nodes), edges)
    assert all(layer[a] < layer[b] for a, b in edges) and min(layer) == 0
    for node_at in range(len(nodes)):  # an input stands just above the first that uses it
        used = [layer[b] for a, b in edges if a == node_at]
        if used and not nodes[node_at].parents:
            assert layer[node_at] == min(used) - 1
