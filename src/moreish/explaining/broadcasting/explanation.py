"""Broadcasting and products explained: shapes in, and out what stretches, what is summed on the way back, and traps."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from moreish.errors import UsageError
from moreish.explaining.broadcasting.alignment import Shape
from moreish.explaining.broadcasting.formulas import G
from moreish.explaining.broadcasting.page import page
from moreish.explaining.broadcasting.steps import Back, Step, Value, Warned
from moreish.explaining.broadcasting.syntax import EXAMPLE, Statement, read_expression
from moreish.explaining.broadcasting.walk import number, walked
from moreish.explaining.broadcasting.words import quoted
from moreish.explaining.broadcasting.workspace import LETTERS, Stopped, Workspace, check_shape


@dataclass(frozen=True)
class Broadcasting:
    """An expression over shapes, explained step by step.

    Attributes:
        expression: as it was read, with names for shapes that had none.
        given: the tensors that it is made from.
        shape: of the result; None where a step is an error.
        steps: each operation, in the order of computing; the last is the error, where there is one.
        backward: the gradients as code, one assignment a line, in the order of going back; g is the result's gradient.
        backward_sums: for each operand of a step that could broadcast, what must be summed on the way back.
        warnings: silent traps, by their names.
    """

    expression: str
    given: tuple[Value, ...]
    shape: Shape | None
    steps: tuple[Step, ...]
    backward: tuple[str, ...]
    backward_sums: tuple[tuple[int, Back, str], ...]
    warnings: tuple[Warned, ...]

    @property
    def forward(self) -> tuple[str, ...]:
        """The steps as code, one assignment a line."""
        return tuple(step.code for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "expression": self.expression,
            "given": [{"name": each.name, "shape": list(each.shape)} for each in self.given],
            "shape": None if self.shape is None else list(self.shape),
            "steps": [step.to_dict() for step in self.steps],
            "backward_sums": [
                {
                    "step": number,
                    "operand": back.operand,
                    "shape": list(back.shape),
                    "axes": sorted((*back.squeezed, *back.kept)),
                    "keepdim": back.keepdim,
                    "kept": list(back.kept),
                    "squeezed": list(back.squeezed),
                    "sum": back.sums,
                    "code": code,
                    "says": back.says,
                }
                for number, back, code in self.backward_sums
            ],
            "backward": list(self.backward),
            "warnings": [warning.to_dict() for warning in self.warnings],
        }

    def text(self, width: int | None = None) -> str:
        """The page, as the terminal shows it.

        Args:
            width: in characters; the terminal's, if None.
        """
        width = width or shutil.get_terminal_size().columns
        return "\n".join(line for _, line in page(self, width))

    def __str__(self) -> str:
        return self.text(100)


def explain_broadcasting(*expression: Any, **shapes: Any) -> Broadcasting:
    """How an expression broadcasts: which axis stretches, what the backward must sum, and what may silently go wrong.

        moreish.explain_broadcasting("(27,27) / (27,1)")
        moreish.explain_broadcasting("N / N.sum(1)", N=counts)
        moreish.explain_broadcasting(a, "/", b)

    Nothing is computed: of a tensor only its shape is looked at. The rules are torch's, for elementwise operations and
    for torch.matmul; the text is read by Python's grammar, and never run.

    Args:
        expression: text, in which a shape such as (27, 1) stands for a tensor; or text and tensors in turn.
        shapes: what names in the text stand for: tensors, arrays or shapes.

    Raises:
        UsageError: text that is no expression over shapes, a name without a shape, or a shape that no tensor has.
    """
    text, given = _joined(expression, shapes)
    statements = read_expression(text)
    names = {node.id for each in statements for node in ast.walk(each.expression) if isinstance(node, ast.Name)}
    work = Workspace(names | given.keys() | {each.name for each in statements})
    for name, thing in given.items():
        work.values[name] = _given(work, name, thing)
    out = None
    try:
        for at, each in enumerate(statements):
            out = walked(work, each, last=at == len(statements) - 1)
    except Stopped:
        out = None
    shown = _shown(work, statements, out)
    given_values = tuple(value for value in work.given if out is None or not value.number)
    if out is None:
        return Broadcasting(shown, given_values, None, tuple(work.steps), (), (), tuple(work.warned))
    if out.number:
        raise UsageError(f"broadcasting: {quoted(text)} has no shape in it. {EXAMPLE}")
    lines, sums = _backward(work, out)
    return Broadcasting(shown, given_values, out.shape, tuple(work.steps), lines, sums, tuple(work.warned))


def _backward(work: Workspace, out: Value) -> tuple[tuple[str, ...], tuple[tuple[int, Back, str], ...]]:
    """The gradients as code from the result back, and those of steps that could broadcast."""
    taken = work.taken | {step.out.name for step in work.steps if step.out} | {value.name for value in work.given}
    called = {out.name: _free("g", taken)}
    lines: list[str] = []
    sums: list[tuple[int, Back, str]] = []
    for step in reversed(work.steps):
        if step.out is None or step.out.name not in called:
            continue
        coming = called[step.out.name]
        for back in step.back:
            mine = replace(back, expression=back.expression.replace(G, coming))
            is_more = back.operand in called
            name = called.setdefault(back.operand, _free(f"d{back.operand}", taken))
            line = f"{name} = {f'{name} + ' if is_more else ''}{_added(mine.code) if is_more else mine.code}"
            lines.append(line)
            if step.kind in ("elementwise", "product", "loss") or back.sums:
                sums.append((step.number, mine, line))
    return tuple(lines), tuple(sums)


def _added(code: str) -> str:
    return f"({code})" if code.startswith("-") else code


def _free(name: str, taken: set[str]) -> str:
    found = next(each for number in count() if (each := f"{name}_{number}" if number else name) not in taken)
    taken.add(found)
    return found


def _joined(parts: tuple[Any, ...], shapes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The whole as text, tensors under names of their own."""
    given = dict(shapes)
    if not any(isinstance(part, str) for part in parts):
        raise UsageError(
            f'broadcasting: there is no expression. Give text, or tensors with an operator: (a, "/", b). {EXAMPLE}'
        )
    written = " ".join(part for part in parts if isinstance(part, str))
    free = (letter for letter in LETTERS if letter not in given and letter not in written)
    words = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
            continue
        name = next(free, None)
        if name is None:
            raise UsageError(
                "broadcasting: there are too many tensors. Give them names: explain_broadcasting('x + y', x=...)"
            )
        given[name] = part
        words.append(name)
    return " ".join(words), given


def _given(work: Workspace, name: str, thing: Any) -> Value:
    """What a name stands for: of a tensor or an array the shape, else a shape or a number."""
    if isinstance(thing, (int, float)) and not isinstance(thing, bool):
        return number(thing)
    shape = getattr(thing, "shape", thing)
    if not isinstance(shape, (tuple, list)) or not all(type(size) is int for size in shape):
        raise UsageError(
            f"broadcasting: {name} is {quoted(repr(thing))}, neither a tensor nor a shape such as (27, 1)."
        )
    check_shape(shape)
    floating = getattr(getattr(thing, "dtype", None), "is_floating_point", True)
    return work.give(shape, name, gradient=bool(floating))


def _shown(work: Workspace, statements: list[Statement], out: Value | None) -> str:
    """The expression with a name for each shape."""
    if out is not None:
        return out.code
    return work.steps[-1].code.partition(" = ")[2] if work.steps else statements[-1].source
