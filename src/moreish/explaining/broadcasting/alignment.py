"""How two shapes meet: right-aligned, axis by axis, for elementwise operations and for products.

Source: PyTorch's notes "Broadcasting semantics", and the page of torch.matmul. Nothing is computed with numbers, and
torch is not asked: the tests hold every answer against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

Shape = tuple[int, ...]

MOST_AXES = 16
LARGEST_SIZE = 10**9
MOST_ENTRIES = 2**61
"""Beyond it torch cannot count the bytes of 32-bit floats. A size of 0 counts as 1, as it does in torch's strides."""

LACKING, STRETCHED, CONTRACTED, ADDED, FAULT = "lacking", "stretched", "contracted", "added", "fault"


class Cell(NamedTuple):
    """One axis of one operand, in its place from the right."""

    size: int | None
    """Its length; None where the operand lacks this axis."""
    to: int | None = None
    """The length that it is stretched to; None where it stays as it is."""
    role: str = ""
    """`lacking`, `stretched`, `contracted`, `added` (a 1 that a product gives to a vector, and takes back), `fault`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return self._asdict()


@dataclass(frozen=True)
class Fault:
    """Why two shapes do not meet: at which axis, counted from the right, and the two lengths there."""

    axis: int | None
    sizes: Shape
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"axis": self.axis, "sizes": list(self.sizes), "why": self.why}


@dataclass(frozen=True)
class Alignment:
    """Two shapes right-aligned: a row of cells each, the result's shape and row, or the fault."""

    shape: Shape | None
    rows: tuple[tuple[Cell, ...], ...]
    """One per operand, and of the same length, from the left."""
    result: tuple[Cell, ...]
    fault: Fault | None = None

    @property
    def is_stretching(self) -> bool:
        """Whether anything is broadcast."""
        return any(cell.role in (LACKING, STRETCHED) for row in self.rows for cell in row)


def entries(shape: Shape) -> int:
    """How many numbers a tensor of this shape holds."""
    return math.prod(shape)


def is_countable(shape: Shape) -> bool:
    """Whether torch can count the bytes of such a tensor, and our own limits hold."""
    return len(shape) <= MOST_AXES and math.prod([size or 1 for size in shape]) <= MOST_ENTRIES


def joined(a: Shape, b: Shape) -> Shape | None:
    """The shape that two shapes are broadcast to; None where they do not meet. A 1 is stretched to 0 too."""
    width = max(len(a), len(b))
    found = []
    for one, other in zip((1,) * (width - len(a)) + a, (1,) * (width - len(b)) + b):
        if one != other and one != 1 and other != 1:
            return None
        found.append(other if one == 1 else one)
    return tuple(found)


def multiplied(left: Shape, right: Shape) -> Shape | None:
    """The shape of `left @ right`; None where they do not meet."""
    if not left or not right or left[-1] != right[-2:][0]:
        return None
    batch = joined(left[:-2], right[:-2])
    return None if batch is None else (*batch, *left[-2:-1], *(right[-1:] if len(right) > 1 else ()))


def broadcast(a: Shape, b: Shape) -> Alignment:
    """Two shapes, elementwise: each axis from the right has one length, or 1 and that length, or is lacking."""
    width = max(len(a), len(b))
    padded = [(None,) * (width - len(shape)) + shape for shape in (a, b)]
    sizes: list[int | None] = []
    for column in zip(*padded):
        lengths = {size for size in column if size is not None and size != 1}
        sizes.append(None if len(lengths) > 1 else lengths.pop() if lengths else 1)
    rows = []
    for row in padded:
        cells = []
        for size, to in zip(row, sizes):
            if size is None:
                cells.append(Cell(None, to, LACKING))
            elif to is None:
                cells.append(Cell(size, role=FAULT if size != 1 else ""))
            else:
                cells.append(Cell(size) if size == to else Cell(size, to, STRETCHED))
        rows.append(tuple(cells))
    result = tuple([Cell(size, role=FAULT if size is None else "") for size in sizes])
    shape = joined(a, b)
    if shape is None:
        at = max(at for at, size in enumerate(sizes) if size is None)
        lengths = (padded[0][at] or 0, padded[1][at] or 0)
        why = f"axis {at - width} has {_against(lengths)}: lengths must be equal, or one of them 1"
        return Alignment(None, tuple(rows), result, Fault(at - width, lengths, why))
    if not is_countable(shape):
        return Alignment(None, tuple(rows), result, _too_large(shape))
    return Alignment(shape, tuple(rows), result)


def product(left: Shape, right: Shape) -> Alignment:
    """`left @ right`: the last axis of the left is contracted with the last but one of the right; the rest broadcast.

    A vector on the left is a single row, one on the right a single column: the 1 that is added is taken away again.
    """
    if not left or not right:
        rows = (tuple(Cell(size) for size in left), tuple(Cell(size) for size in right))
        why = "a product by @ needs an axis to contract, and a single number has none"
        return _padded(None, *rows, (), Fault(None, (), why))
    first = (1, *left) if len(left) == 1 else left
    second = (*right, 1) if len(right) == 1 else right
    batch = broadcast(first[:-2], second[:-2])
    fits = first[-1] == second[-2]
    meeting = CONTRACTED if fits else FAULT
    a = (*batch.rows[0], Cell(first[-2], role=ADDED if len(left) == 1 else ""), Cell(first[-1], role=meeting))
    b = (*batch.rows[1], Cell(second[-2], role=meeting), Cell(second[-1], role=ADDED if len(right) == 1 else ""))
    result = (
        *batch.result,
        Cell(first[-2], role=ADDED if len(left) == 1 else ""),
        Cell(second[-1], role=ADDED if len(right) == 1 else ""),
    )
    if not fits:
        place = "last but one" if len(right) > 1 else "only"
        why = (
            f"the last axis of the left has {first[-1]} entries, the {place} axis of the right {second[-2]}: "
            f"these two are contracted and must be equal, even where one of them is 1"
        )
        return Alignment(None, (a, b), result, Fault(-1, (first[-1], second[-2]), why))
    if batch.shape is None:
        fault = batch.fault
        if fault is not None and fault.axis is not None:
            axis = fault.axis - 2
            why = f"axis {axis}, before the two of the product, must be broadcast, but has {_against(fault.sizes)}"
            fault = Fault(axis, fault.sizes, why)
        return Alignment(None, (a, b), result, fault)
    shape = multiplied(left, right)
    assert shape is not None
    # torch.matmul writes the stretched operands out before it multiplies.
    written = max((shape, (*batch.shape, *first[-2:]), (*batch.shape, *second[-2:])), key=entries)
    if not is_countable(written):
        return Alignment(None, (a, b), result, _too_large(written))
    return Alignment(shape, (a, b), result)


def embeddings(small: Shape, large: Shape) -> list[tuple[int, ...]]:
    """Every way to lay the axes of a shape, in their order, along axes of another of the same lengths (1 fits all)."""
    found: list[tuple[int, ...]] = [()]
    for at, size in enumerate(small):
        room = len(large) - (len(small) - at - 1)
        found = [
            (*places, axis)
            for places in found
            for axis in range(places[-1] + 1 if places else 0, room)
            if size in (1, large[axis])
        ]
    return found


def _against(lengths: Shape) -> str:
    return " against ".join(str(length) for length in lengths)


def _too_large(shape: Shape) -> Fault:
    if len(shape) > MOST_AXES:
        return Fault(None, (), f"the result would have {len(shape)} axes, more than {MOST_AXES}")
    return Fault(None, (), f"{shape} has more entries than torch can count the bytes of")


def _padded(shape: Shape | None, a: Any, b: Any, result: Any, fault: Fault) -> Alignment:
    width = max(len(a), len(b))
    rows = tuple((Cell(None),) * (width - len(row)) + row for row in (a, b))
    return Alignment(shape, rows, tuple(result), fault)
