"""Whole lines laid into blocks of equal size, with equal beginnings of neighbours only once.

A causal model says the same after the same prefix, so of the lines `anna` and `anne` it need read `ann` once. Sorted,
lines that begin alike are neighbours; each line then adds to its block what it does not share with the line before,
and that order is a walk through a tree of prefixes: a place's ancestors are the symbols before it. 256 names of 1,825
symbols come to some 1,200 places, and no padding but a few places at the ends of blocks.

The gradient is the same too, being a sum over the lines that share a place; where dropout draws, they share its draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.shapes import BOUNDARY

ROOM = 48
"""Places in a block, where the longest line allows it: more makes attention dearer, fewer leaves more of them empty."""
KEY_BITS = 62


@dataclass(frozen=True, slots=True)
class Packed:
    """Lines in P blocks of R places each.

    `tokens` [P R] has the boundary in places that stand empty. `depths` [P R] counts the symbols before a place on its
    line. `places` [N] says where each symbol of the lines, in the order they came, is found among the P * R.
    """

    tokens: Int[Tensor, "P R"]
    depths: Int[Tensor, "P R"]
    places: Int[Tensor, " N"]

    def reach(self, context: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "P R R"]:
        """What is added to a score: 0 where place i may see place j, else -inf.

        It sees itself and its ancestors, `context` places in all. The descendants of j are the places after it, up to
        the first that stands no deeper than j.
        """
        depths = self.depths.cpu().numpy()
        at = np.arange(depths.shape[1])
        ends = (depths[:, None, :] <= depths[:, :, None]) & (at[:, None] < at)
        end = np.where(ends.any(2), ends.argmax(2), len(at))
        sees = (at[:, None] >= at) & (at[:, None] < end[:, None, :])
        if depths.max(initial=0) >= context:
            sees &= depths[:, :, None] - depths[:, None, :] < context
        bias = np.where(sees, np.float32(0), np.float32(-np.inf))
        return torch.from_numpy(bias).to(self.tokens.device, dtype)


def pack(tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], symbols: int, room: int = ROOM) -> Packed:
    """Lay lines, given end to end, into blocks of about `room` places; a longer line makes them longer.

    Args:
        symbols: V, more than any id.
    """
    ids, sizes = tokens.cpu().numpy(), lengths.cpu().numpy()
    # numpy: forty small steps on small arrays, each a third of what torch takes for it
    inside = np.arange(sizes.max()) < sizes[:, None]
    lines = np.full(inside.shape, -1, np.int64)
    lines[inside] = ids
    order = _sorted(lines, symbols)
    lines, kept = lines[order], inside[order]
    fresh = np.ones_like(kept)
    np.logical_or.accumulate(lines[1:] != lines[:-1], axis=1, out=fresh[1:])
    fresh &= kept
    first, size = _blocks(fresh.sum(1).tolist(), sizes[order].tolist(), max(room, inside.shape[1]))
    fresh[first] = kept[first]  # the first line of a block shares with none
    rank = fresh.reshape(-1).cumsum().reshape(fresh.shape) - 1
    ahead = np.repeat(np.arange(len(first)) * size - rank[first, 0], np.diff(first, append=len(order)))
    # A place that is not fresh is that of the line before, or of one before that: its own is the latest so far.
    place = np.maximum.accumulate(np.where(fresh, rank + ahead[:, None], -1), axis=0)
    packed = np.full((2, len(first) * size), BOUNDARY, np.int64)
    packed[0, place[fresh]] = lines[fresh]
    packed[1] = 0
    packed[1, place[fresh]] = fresh.nonzero()[1]
    places = np.empty_like(place)
    places[order] = place
    there = torch.from_numpy(packed).to(tokens.device).view(2, len(first), size)
    return Packed(there[0], there[1], torch.from_numpy(places[inside]).to(tokens.device))


def _sorted(lines: np.ndarray, symbols: int) -> np.ndarray:
    """An order in which lines that begin alike are neighbours, as far as one 64-bit key shows: 12 symbols of 27."""
    bits = symbols.bit_length()  # an id, plus 1 for what stands after a line's end
    width = min(lines.shape[1], KEY_BITS // bits)
    weights = np.left_shift(1, bits * np.arange(width - 1, -1, -1))
    return ((lines[:, :width] + 1) @ weights).argsort(kind="stable")


def _blocks(fresh: list[int], whole: list[int], room: int) -> tuple[np.ndarray, int]:
    """The first line of each block, and the places that a block needs.

    As few blocks as `room` allows, and then as small as that many can be.

    Args:
        fresh: the places that each line adds to a block; `whole`, those that it takes as a block's first.
    """
    first, size = _filled(fresh, whole, room)
    count, low, high = len(first), max(max(whole), -(-sum(fresh) // len(first))), size
    while low < high:
        middle = (low + high) // 2
        tried, used = _filled(fresh, whole, middle)
        if len(tried) > count:
            low = middle + 1
        else:
            first, size, high = tried, used, min(used, middle)
    return np.array(first), size


def _filled(fresh: list[int], whole: list[int], room: int) -> tuple[list[int], int]:
    """Blocks filled one after the other: their first lines, and the most places that one of them uses."""
    used, most, first = room + 1, 0, []
    for line, (adds, takes) in enumerate(zip(fresh, whole)):
        used += adds
        if used > room:
            first.append(line)
            used = takes
        if used > most:
            most = used
    return first, most
