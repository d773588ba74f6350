"""Places for the nodes of a graph without cycles, in layers, so that few edges cross and most run straight.

The way of Sugiyama, Tagawa and Toda (1981): layers by the longest path, order within a layer by medians, then places
along it. The last step differs: each layer is placed by least squares under the order and the gaps it must keep, which
is isotonic regression, solved exactly by pooling adjacent violators (Ayer et al. 1955).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 12
GAP, EDGE_GAP = 26.0, 16.0
"""Between neighbours in a layer: of nodes, and where one of them is an edge that passes by."""
STRAIGHT, LIGHT = 4.0, 0.1
"""How much more a place on a long edge pulls than a node does, and how much less an input: chains run straight."""


@dataclass(frozen=True)
class Layout:
    """Where everything is; `across` counts along a layer, from 0 to `breadth`."""

    layer: tuple[int, ...]
    """Of each node."""
    across: tuple[float, ...]
    """Middle of each node."""
    passing: tuple[tuple[float, ...], ...]
    """Of each edge, its place in every layer that it passes between its ends."""
    breadth: float


def lay_out(sizes: Sequence[float], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place nodes with these sizes along their layers.

    Args:
        sizes: of each node, across; sources come before what they lead to.
        edges: from one node's number to another's; one may stand twice.
    """
    layer = layers(len(sizes), edges)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node, at in enumerate(layer):
        rows[at].append(node)
    size = [*sizes]
    short: list[tuple[int, int]] = []
    chains: list[list[int]] = []
    for source, target in edges:  # one more place in each layer that it passes
        chain = [source]
        for at in range(layer[source] + 1, layer[target]):
            rows[at].append(len(size))
            chain.append(len(size))
            size.append(0.0)
        chain.append(target)
        chains.append(chain[1:-1])
        short += pairwise(chain)
    above: list[list[int]] = [[] for _ in size]
    below: list[list[int]] = [[] for _ in size]
    for source, target in short:
        below[source].append(target)
        above[target].append(source)
    rows = _ordered(rows, above, below)
    places = _placed(rows, size, above, below, len(sizes))
    _straighten(rows, places, size, [[source, *chain, target] for chain, (source, target) in zip(chains, edges)])
    left = min((place - size[at] / 2 for at, place in enumerate(places)), default=0.0)
    right = max((place + size[at] / 2 for at, place in enumerate(places)), default=0.0)
    places = [place - left for place in places]
    passing = tuple(tuple(places[at] for at in chain) for chain in chains)
    return Layout(tuple(layer), tuple(places[: len(sizes)]), passing, right - left)


def layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each node: after all it comes from, and as near to where it leads as shortens the edges."""
    layer = [0] * count
    sources: list[list[int]] = [[] for _ in range(count)]
    targets: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    for node in range(count):
        layer[node] = max((layer[each] + 1 for each in sources[node]), default=0)
    for node in reversed(range(count)):
        if len(targets[node]) > len(sources[node]) or (targets[node] and not sources[node]):
            layer[node] = max(layer[node], min(layer[each] for each in targets[node]) - 1)
    least = min(layer, default=0)
    return [each - least for each in layer]


def crossings(upper: Sequence[int], lower: Sequence[int], below: Sequence[Sequence[int]]) -> int:
    """How many edges cross between two neighbouring layers."""
    place = {node: at for at, node in enumerate(lower)}
    seen: list[int] = []
    found = 0
    for node in upper:
        mine = sorted(place[each] for each in below[node])
        found += sum(len(seen) - bisect_left(seen, at + 1) for at in mine)
        for at in mine:
            insort(seen, at)
    return found


def _ordered(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> list[list[int]]:
    """Each layer in the order of the medians of its neighbours; the best of several sweeps down and up."""

    def total(rows: list[list[int]]) -> int:
        return sum(crossings(upper, lower, below) for upper, lower in pairwise(rows))

    best, fewest = [list(row) for row in rows], total(rows)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for at in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            place = {node: i for i, node in enumerate(rows[at - 1 if down else at + 1])}
            now = {node: i for i, node in enumerate(rows[at])}
            rows[at] = sorted(
                rows[at], key=lambda node: (_median([place[each] for each in near[node]], now[node]), now[node])
            )
        _swap_neighbours(rows, above, below)
        if (count := total(rows)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _swap_neighbours(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Exchange two that stand beside one another wherever fewer edges cross then."""
    place = {node: at for row in rows for at, node in enumerate(row)}
    for row in rows:
        for at in range(len(row) - 1):
            one, other = row[at], row[at + 1]
            gained = 0
            for near in (above, below):
                theirs = [place[each] for each in near[other]]
                gained += sum((place[each] > its) - (place[each] < its) for each in near[one] for its in theirs)
            if gained > 0:
                row[at], row[at + 1] = other, one
                place[one], place[other] = at + 1, at


def _median(places: list[int], otherwise: int) -> float:
    places = sorted(places)
    middle = len(places) // 2
    if not places:
        return float(otherwise)
    return float(places[middle]) if len(places) % 2 else (places[middle - 1] + places[middle]) / 2


def _placed(
    rows: list[list[int]], size: list[float], above: list[list[int]], below: list[list[int]], nodes: int
) -> list[float]:
    """The middle of everything along its layer: near the mean of its neighbours, none nearer than its gap."""
    places = [0.0] * len(size)
    for row in rows:
        at = 0.0
        for node, offset in zip(row, _offsets(row, size, nodes)):
            at = offset
            places[node] = at
        for node in row:
            places[node] -= at / 2

    def pull(node: int, other: int) -> float:
        if node >= nodes or other >= nodes:
            return STRAIGHT
        return 1.0 if above[other] or not above[node] else LIGHT

    for sweep in range(4 * SWEEPS):
        near = [above, below][sweep % 2] if sweep < 3 * SWEEPS else [a + b for a, b in zip(above, below)]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted, weights = [], []
            for node in row:
                pulls = [(places[each], pull(node, each)) for each in near[node]]
                weight = sum(each for _, each in pulls)
                wanted.append(sum(at * each for at, each in pulls) / weight if pulls else places[node])
                weights.append(weight if pulls and (above[node] or not below[node]) else LIGHT)
            offsets = _offsets(row, size, nodes)
            free = _pooled([want - offset for want, offset in zip(wanted, offsets)], weights)
            for node, at, offset in zip(row, free, offsets):
                places[node] = at + offset
    return places


def _straighten(rows: list[list[int]], places: list[float], size: list[float], chains: list[list[int]]) -> None:
    """Let each long edge keep its place for as long as it may, from the end where that takes fewer turns."""
    where = {node: (row, at) for row in rows for at, node in enumerate(row)}

    def between(node: int) -> tuple[float, float]:
        row, at = where[node]
        low = places[row[at - 1]] + size[row[at - 1]] / 2 + EDGE_GAP if at else float("-inf")
        high = places[row[at + 1]] - size[row[at + 1]] / 2 - EDGE_GAP if at + 1 < len(row) else float("inf")
        return min(low, places[node]), max(high, places[node])

    for chain in chains:
        tried = []
        for way in (chain, chain[::-1]):
            now, path = places[way[0]], []
            for node in way[1:-1]:
                low, high = between(node)
                now = min(max(now, low), high)
                path.append(now)
            whole = [places[way[0]], *path, places[way[-1]]]
            turns = sum(abs(a - b) > 0.5 for a, b in pairwise(whole))
            tried.append((turns, sum(abs(a - b) for a, b in pairwise(whole)), dict(zip(way[1:-1], path))))
        for node, place in min(tried, key=lambda each: each[:2])[2].items():
            places[node] = place


def _offsets(row: list[int], size: list[float], nodes: int) -> list[float]:
    """Places along a layer when all stand as near as they may."""
    offsets = [0.0]
    for one, other in pairwise(row):
        gap = GAP if one < nodes and other < nodes else EDGE_GAP
        offsets.append(offsets[-1] + size[one] / 2 + gap + size[other] / 2)
    return offsets[: len(row)]


def _pooled(wanted: list[float], weights: list[float]) -> list[float]:
    """The nearest numbers to those wanted, by weighted squares, that never fall."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights):
        count = 1
        while pools and pools[-1][0] > value:
            before, heft, many = pools.pop()
            value = (before * heft + value * weight) / (heft + weight)
            weight, count = weight + heft, count + many
        pools.append((value, weight, count))
    return [value for value, _, count in pools for _ in range(count)]
