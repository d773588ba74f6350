"""Shapes of views and reductions: what sum, T, unsqueeze, reshape or `[:, None]` make of a shape, as torch rules it.

Each function gives the new shape, or raises `Refused` with the reason where torch refuses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from moreish.explaining.broadcasting.alignment import LARGEST_SIZE, MOST_AXES, Shape

Indices = tuple[int | None, ...]
"""For each new axis, which old one it is; None for a new axis of length 1."""


class Refused(Exception):
    """torch refuses this operation on this shape. The message says why."""


def axis_of(axis: int, axes: int) -> int:
    """A non-negative axis of so many; a tensor without axes takes 0 and -1, as torch has it.

    Raises:
        Refused: there is no such axis.
    """
    room = max(axes, 1)
    if not -room <= axis < room:
        has = f"{axes} axes, {-room} to {room - 1}" if axes != 1 else "1 axis: 0, or -1"
        raise Refused(f"there is no axis {axis}: it has {has}")
    return axis % room


def reduced_axes(shape: Shape, axes: Sequence[int] | None) -> tuple[int, ...]:
    """The axes that a reduction goes over, in order; all for None or ().

    Raises:
        Refused: no such axis, or one twice.
    """
    if not axes:
        return tuple(range(len(shape)))
    found = [axis_of(axis, len(shape)) for axis in axes]
    if len(set(found)) < len(found):
        raise Refused(f"axis {next(axis for axis in found if found.count(axis) > 1)} is given twice")
    return tuple(sorted(found)) if shape else ()


def reduced(shape: Shape, axes: tuple[int, ...], keepdim: bool) -> Shape:
    """The shape after a reduction over these axes."""
    if keepdim:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def permuted(shape: Shape, order: Sequence[int]) -> tuple[int, ...]:
    """The order as non-negative axes.

    Raises:
        Refused: it does not name each axis once.
    """
    found = [axis_of(axis, len(shape)) for axis in order]
    if sorted(found) != list(range(len(shape))):
        raise Refused(f"permute names {len(found)} axes of {len(shape)}, or one twice: each is named once")
    return tuple(found)


def swapped(shape: Shape, one: int, other: int) -> tuple[int, ...]:
    """The order of axes with two of them changed over."""
    order, (i, j) = list(range(len(shape))), (axis_of(one, len(shape)), axis_of(other, len(shape)))
    if order:
        order[i], order[j] = order[j], order[i]
    return tuple(order)


def reshaped(shape: Shape, sizes: Sequence[int]) -> Shape:
    """The sizes with -1 worked out.

    Raises:
        Refused: the entries do not fit into it.
    """
    have, known = math.prod(shape), math.prod(size for size in sizes if size != -1)
    open_ones = sum(size == -1 for size in sizes)
    if open_ones > 1 or any(size < -1 for size in sizes):
        raise Refused(f"{tuple(sizes)} is no shape: one size may be -1, and no other is negative")
    if open_ones and (known == 0 or have % known):
        raise Refused(f"the {have} entries of {shape} cannot be laid out as {tuple(sizes)}")
    found = tuple(have // known if size == -1 else size for size in sizes)
    if math.prod(found) != have:
        raise Refused(f"{shape} has {have} entries, {tuple(sizes)} has {math.prod(found)}")
    return found


def expanded(shape: Shape, sizes: Sequence[int]) -> Shape:
    """The sizes with -1 for "as it is" worked out.

    Raises:
        Refused: an axis is not 1 and is to have another length, or there are too few.
    """
    lacks = len(sizes) - len(shape)
    if lacks < 0:
        raise Refused(f"expand to {len(sizes)} axes, but there are {len(shape)}")
    found = []
    for at, size in enumerate(sizes):
        old = shape[at - lacks] if at >= lacks else None
        if size < -1 or (size == -1 and old is None):
            raise Refused(f"{size} is no length for the new axis {at}")
        if old not in (None, 1, size) and size != -1:
            raise Refused(f"axis {at} has length {old} and cannot be expanded to {size}: only 1 can")
        found.append(old if size == -1 and old is not None else size)
    return tuple(found)


def indexed(shape: Shape, index: Sequence[str]) -> Indices:
    """What `[:, None, ...]` makes of the axes.

    Raises:
        Refused: more axes are named than there are.
    """
    named = sum(part == ":" for part in index)
    if named > len(shape):
        raise Refused(f"{named} axes are named in the brackets, but there are {len(shape)}")
    rest = len(shape) - named
    parts = list(index)
    at = parts.index("...") if "..." in parts else len(parts)
    parts[at : at + 1] = [":"] * rest
    old = iter(range(len(shape)))
    return tuple(None if part == "None" else next(old) for part in parts)


def flattened(shape: Shape, start: int, end: int) -> Shape:
    """Axes from start to end, both included, as one.

    Raises:
        Refused: no such axis, or the end before the start.
    """
    first, last = axis_of(start, len(shape)), axis_of(end, len(shape))
    if first > last:
        raise Refused(f"flatten goes from axis {first} to axis {last}, which is before it")
    if not shape:
        return (1,)
    return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def is_small_enough(shape: Sequence[int]) -> bool:
    """Whether a shape that was written or asked for is within our limits."""
    return len(shape) <= MOST_AXES and all(size <= LARGEST_SIZE for size in shape)
