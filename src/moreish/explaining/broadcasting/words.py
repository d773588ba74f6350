"""Sentences about how operands meet: which axis stretches, which two are contracted, and what is in the way."""

from __future__ import annotations

from moreish.explaining.broadcasting.alignment import CONTRACTED, LACKING, STRETCHED, Alignment, Cell, Shape
from moreish.explaining.broadcasting.steps import Value

NOT_THE_FIRST = (
    "The last axis of the left meets the last but one of the right; that is the very first of the right only where the "
    "right has two axes."
)
"""The notes have it as "the very last ... with the very first", which holds for matrices alone."""


def pair_said(op: str, a: Value, b: Value, aligned: Alignment) -> list[str]:
    """How the axes of two operands meet, elementwise."""
    if a.number or b.number:
        return ["A number meets every entry."]
    if aligned.shape is None:
        return _fault_said(aligned)
    found = [said for value, row in ((a, aligned.rows[0]), (b, aligned.rows[1])) if (said := _stretched(value, row))]
    if not found:
        return ["The same shape twice: entry meets entry, and nothing is stretched."]
    return found


def product_said(a: Value, b: Value, aligned: Alignment) -> list[str]:
    """Which axes of a product are contracted, and which broadcast."""
    if aligned.shape is None:
        said = _fault_said(aligned)
        return [*said, NOT_THE_FIRST] if aligned.fault and aligned.fault.axis == -1 else said
    size, axis = a.shape[-1], len(a.shape) - 1
    other = max(len(b.shape) - 2, 0)
    place = {1: "the only one, as a column", 2: "the last but one (of two axes, the very first)"}
    found = [
        f"Axis {axis} of {a.name}, its last, is contracted with axis {other} of {b.name}, "
        f"{place.get(len(b.shape), 'the last but one')}: each entry of the result is a sum of {size} "
        f"product{'s' * (size != 1)}, and both axes are gone."
    ]
    if len(b.shape) > 2:
        found.append(f"{NOT_THE_FIRST} Here the very first of {b.name}, {b.shape[0]}, is an axis of the batch.")
    if len(a.shape) == 1:
        found.append(f"{a.name} is a vector: a single row for the product, and that axis of 1 is gone after it.")
    if len(b.shape) == 1 and len(a.shape) > 1:
        found.append(f"{b.name} is a vector: a single column for the product, and that axis of 1 is gone after it.")
    batch = len(aligned.result) - 2
    for value, row in ((a, aligned.rows[0]), (b, aligned.rows[1])):
        if said := _stretched(value, row[:batch]):
            found.append(said)
    alike = [cell.size for cell, *rows in zip(aligned.result[:batch], *aligned.rows) if not any(r.role for r in rows)]
    if alike:
        found.append(f"The axes before these, {_listed(alike)}, are of the batch: matrix meets matrix.")
    return found


def cell_said(cell: Cell) -> str:
    """A cell in a few characters: `27`, `1→27`, `·→27`, `[10]` where contracted, `(1)` where added."""
    if cell.role == LACKING:
        return f"·→{'?' if cell.to is None else cell.to}"
    if cell.role == STRETCHED:
        return f"{cell.size}→{cell.to}"
    size = "" if cell.size is None else str(cell.size)
    return {CONTRACTED: f"[{size}]", "added": f"({size})", "fault": f"{size or '?'}!"}.get(cell.role, size)


def quoted(text: str) -> str:
    """Text in quotes, cut where it is long."""
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else text[:37] + "...")


def shapes_said(shapes: list[Shape]) -> str:
    """`(27, 27) and (27,)`."""
    return " and ".join(str(shape) for shape in shapes)


def _stretched(value: Value, row: tuple[Cell, ...]) -> str:
    lacking = [(at, cell.to) for at, cell in enumerate(row) if cell.role == LACKING and cell.to is not None]
    ones = [(at, cell.to) for at, cell in enumerate(row) if cell.role == STRETCHED]
    parts = []
    if lacking:
        axes, lengths = _listed([at for at, _ in lacking]), _listed([to for _, to in lacking])
        noun = "axis" if len(lacking) == 1 else "axes"
        parts.append(f"lacks {noun} {axes} of the result, read as 1 and stretched to {lengths}")
    if ones:
        axes, lengths = _listed([at for at, _ in ones]), _listed([to for _, to in ones])
        noun = "axis" if len(ones) == 1 else "axes"
        parts.append(f"has length 1 along {noun} {axes}, stretched to {lengths}")
    return f"{value.name} {value.shape} {'; it '.join(parts)}." if parts else ""


def _fault_said(aligned: Alignment) -> list[str]:
    why = aligned.fault.why if aligned.fault else ""
    return [f"{why[:1].upper()}{why[1:]}."]


def _listed(items: list) -> str:
    words = [str(each) for each in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
