"""How two shapes meet: right-aligned, axis by axis, for elementwise operations and for products.

Source: PyTorch's notes "Broadcasting semantics", and the page of torch.matmul. Nothing is computed with numbers, and
torch is not asked: the tests hold every answer against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

Shape = tuple[int, ...]

MOST_AXES = 16
LARGEST_SIZE = 10**9
MOST_ENTRIES = 2**61
"""Beyond it torch cannot count the bytes of 32-bit floats. A size of 0 counts as 1, as it does in torch's strides."""

LACKING, STRETCHED, CONTRACTED, ADDED, FAULT = "lacking", "stretched", "contracted", "added", "fault"


@dataclass(frozen=True)
class Cell:
    """One axis of one operand, in its place from the right."""

    size: int | None
    """Its length; None where the operand lacks this axis."""
    to: int | None = None
    """The length that it is stretched to; None where it stays as it is."""
    role: str = ""
    """`lacking`, `stretched`, `contracted`, `added` (a 1 that a product gives to a vector, and takes back), `fault`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


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
    return len(shape) <= MOST_AXES and math.prod(max(size, 1) for size in shape) <= MOST_ENTRIES


def broadcast(shapes: Sequence[Shape]) -> Alignment:
    """Any number of shapes, elementwise: each axis from the right has one length, or 1 and that length, or is lacking.

    A 1 is stretched to 0 too, as to every other length.
    """
    width = max((len(shape) for shape in shapes), default=0)
    padded = [(None,) * (width - len(shape)) + tuple(shape) for shape in shapes]
    sizes: list[int | None] = []
    faults: list[int] = []
    for at, column in enumerate(zip(*padded)):
        lengths = {size for size in column if size is not None and size != 1}
        sizes.append(lengths.pop() if len(lengths) == 1 else None if lengths else 1)
        if sizes[-1] is None:
            faults.append(at)
    rows = tuple(tuple(_cell(size, to) for size, to in zip(row, sizes)) for row in padded)
    if faults:
        return Alignment(None, rows, tuple(_result(size) for size in sizes), _clash(padded, faults[-1], width))
    shape = tuple(size for size in sizes if size is not None)
    result = tuple(Cell(size) for size in shape)
    if not is_countable(shape):
        return Alignment(None, rows, result, _too_large(shape))
    return Alignment(shape, rows, result)


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
    batch = broadcast([first[:-2], second[:-2]])
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
            why = f"axis {axis} comes before the two of the product and must be broadcast, but has {_against(fault)}"
            fault = Fault(axis, fault.sizes, why)
        return Alignment(None, (a, b), result, fault)
    shape = (*batch.shape, *(left[-2:-1]), *(right[-1:] if len(right) > 1 else ()))
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


def _cell(size: int | None, to: int | None) -> Cell:
    if size is None:
        return Cell(None, to, LACKING)
    if to is None:
        return Cell(size, role=FAULT if size != 1 else "")
    return Cell(size, to, STRETCHED) if size != to else Cell(size)


def _result(size: int | None) -> Cell:
    return Cell(size, role=FAULT if size is None else "")


def _clash(padded: Sequence[Sequence[int | None]], at: int, width: int) -> Fault:
    sizes = tuple(dict.fromkeys(row[at] for row in padded if row[at] not in (None, 1)))
    known = tuple(size for size in sizes if size is not None)
    fault = Fault(at - width, known, "")
    return Fault(at - width, known, f"axis {at - width} has {_against(fault)}: lengths must be equal, or one of them 1")


def _against(fault: Fault) -> str:
    return " against ".join(str(size) for size in fault.sizes)


def _too_large(shape: Shape) -> Fault:
    if len(shape) > MOST_AXES:
        return Fault(None, (), f"the result would have {len(shape)} axes, more than {MOST_AXES}")
    return Fault(None, (), f"{shape} has more entries than torch can count the bytes of")


def _padded(shape: Shape | None, a: Any, b: Any, result: Any, fault: Fault) -> Alignment:
    width = max(len(a), len(b))
    rows = tuple((Cell(None),) * (width - len(row)) + row for row in (a, b))
    return Alignment(shape, rows, tuple(result), fault)
