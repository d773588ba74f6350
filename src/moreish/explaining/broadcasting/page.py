"""The page that explains an expression, as lines with a kind each; the terminal gives the kinds their colours."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Protocol, runtime_checkable

from moreish.explaining.broadcasting.alignment import ADDED, CONTRACTED, FAULT, LACKING, STRETCHED, Shape
from moreish.explaining.broadcasting.steps import Back, Step, Value, Warned
from moreish.explaining.broadcasting.words import cell_said

HEAD, PLAIN, DIM, CODE, WARNING, ERROR, GOOD = "head", "plain", "dim", "code", "warning", "error", "good"
Line = tuple[str, str]
NARROWEST = 40
SIGNS = {
    LACKING: "·→n: there is no such axis; it is read as 1 and stretched to n.",
    STRETCHED: "1→n: an axis of 1 is stretched to n.",
    CONTRACTED: "[n]: contracted: multiplied entry by entry, and summed.",
    ADDED: "(1): added to a vector for the product, and gone after it.",
    FAULT: "n!: lengths that do not agree.",
}


@runtime_checkable
class Explained(Protocol):
    """What a page is made from."""

    @property
    def expression(self) -> str: ...
    @property
    def given(self) -> tuple[Value, ...]: ...
    @property
    def shape(self) -> Shape | None: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def backward(self) -> tuple[str, ...]: ...
    @property
    def backward_sums(self) -> tuple[tuple[int, Back, str], ...]: ...
    @property
    def warnings(self) -> tuple[Warned, ...]: ...


def page(found: Explained, width: int) -> Iterator[Line]:
    """Lines of at most this width, each with its kind."""
    width = max(width, NARROWEST)
    yield from _filled(HEAD, found.expression, width)
    given = ", ".join(f"{value.name} {value.shape}" for value in found.given)
    yield from _filled(DIM, f"with {given}" if given else "", width)
    if found.shape is None:
        yield ERROR, "an error: torch refuses it"
    else:
        yield GOOD, f"gives {found.shape}"
    for step in found.steps:
        yield PLAIN, ""
        yield from _step(step, width)
    roles = {cell.role for step in found.steps if grid(step) for row in step.rows for cell in row}
    if roles & SIGNS.keys():
        yield PLAIN, ""
    for role in SIGNS:
        if role in roles:
            yield from _filled(DIM, SIGNS[role], width)
    yield from _back(found, width)
    for warning in found.warnings:
        yield PLAIN, ""
        where = f", step {warning.step}" if len(found.steps) > 1 else ""
        yield WARNING, f"Warning: {warning.name}{where}"
        yield from _filled(PLAIN, warning.says, width, 4)
        if warning.mend:
            yield from _filled(CODE, warning.mend, width, 4, "Instead: ")


def grid(step: Step) -> list[str]:
    """The operands' axes right-aligned, one under another, and the result's; nothing for a single operand.

    Axes are counted from the right. The shape stands after each row.
    """
    if not step.rows or any(value.number for value in step.operands):
        return []
    names = [*(value.name for value in step.operands), step.out.name if step.out else "result"]
    shapes = [*(str(value.shape) for value in step.operands), str(step.out.shape) if step.out else "none"]
    if step.kind == "loss" and step.out:
        shapes[-1] = f"their mean: {shapes[-1]}"
    table = [[cell_said(cell) for cell in row] for row in (*step.rows, step.result)]
    columns = max(len(row) for row in table)
    table = [[""] * (columns - len(row)) + row for row in table]
    table.insert(0, [str(at - columns) for at in range(columns)])
    wide = [max(len(row[at]) for row in table) for at in range(columns)]
    label = max(len(name) for name in (*names, "axis"))
    rows = []
    for name, shape, row in zip(("axis", *names), ("", *shapes), table):
        cells = "  ".join(cell.rjust(size) for cell, size in zip(row, wide))
        rows.append(f"{name.ljust(label)}  {cells}  {shape}".rstrip())
    return rows


def _step(step: Step, width: int) -> Iterator[Line]:
    kind = ERROR if step.fault else HEAD
    yield from _filled(kind, step.code, width, 4, f"{step.number}".ljust(4), 0)
    if len(step.operands) == 1 and step.out is not None:
        yield PLAIN, f"    {step.operands[0].shape} → {step.out.shape}"
    for at, line in enumerate(grid(step)):
        fits = line if len(line) + 4 <= width else line[: max(width - 5, 0)] + "…"
        yield DIM if at == 0 else PLAIN, f"    {fits}"
    for said in step.says:
        yield from _filled(ERROR if step.fault and said is step.says[0] else DIM, said, width, 4)
    for mend in step.mends:
        yield from _filled(CODE, mend.code, width, 4, "Works: ")
        yield from _filled(DIM, f"gives {mend.shape}: {mend.says}", width, 11)


def _back(found: Explained, width: int) -> Iterator[Line]:
    if found.shape is None or not found.steps:
        return
    yield PLAIN, ""
    if not found.backward:
        yield DIM, "No gradient goes back through this."
        return
    yield from _filled(HEAD, f"On the way back, g being the gradient of the result, {found.shape}", width)
    said = {code: back.says for _, back, code in found.backward_sums}
    for line in found.backward:
        yield from _filled(CODE, line, width, 8, first=4)
        yield from _filled(DIM, said.get(line, ""), width, 8)


def _filled(
    kind: str, text: str, width: int, indent: int = 0, label: str = "", first: int | None = None
) -> Iterator[Line]:
    """Text broken at spaces; what follows a label hangs under it."""
    start = " " * (indent if first is None else first) + label
    hang = " " * (indent + (len(label) if first is None else 0))
    if len(hang) > width // 2:
        hang = " " * indent
    for line in wrap(text, width, initial_indent=start, subsequent_indent=hang, break_on_hyphens=False):
        yield kind, line
