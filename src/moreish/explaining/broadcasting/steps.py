"""What an explanation consists of: values with shapes, the steps between them, sums on the way back, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from moreish.explaining.broadcasting.alignment import Cell, Fault, Shape
from moreish.explaining.broadcasting.pieces import wrapped

Origins = frozenset[tuple[str, int]]
"""Where an axis comes from: names of tensors, and which axis of each."""


@dataclass(frozen=True)
class Reduced:
    """A reduction without keepdim that a value came through: how it is written with keepdim, and its shape then."""

    code: str
    kept_code: str
    kept_shape: Shape
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor as far as it is known here: its name and shape, and what the warnings want to know.

    Attributes:
        name: as a variable of the forward code; a number is written out.
        code: as it would be written in one expression.
        origins: of each axis, where it comes from.
        gradient: whether a gradient comes back to it.
        number: whether it is a plain number and no tensor.
        placed: its axes were put where they are on purpose, by None, unsqueeze, reshape, transpose or the like.
        reduced: the reduction that dropped an axis of it, until something is placed.
        made_by: the operation it is the result of; "" for what is given.
    """

    name: str
    code: str
    shape: Shape
    origins: tuple[Origins, ...]
    gradient: bool = True
    number: bool = False
    placed: bool = False
    reduced: Reduced | None = None
    made_by: str = ""

    @classmethod
    def given(cls, name: str, shape: Shape, gradient: bool = True) -> Value:
        """A tensor that is given and not computed."""
        return cls(name, name, shape, own_origins(name, shape), gradient)


@dataclass(frozen=True)
class Back:
    """What comes back to one operand of a step.

    Attributes:
        operand, shape: whose gradient.
        expression: the gradient as code, before it is summed.
        kept: axes of it to be summed where the operand has length 1: with keepdim.
        squeezed: leading axes to be summed that the operand lacks: without keepdim.
        says: the sums in words.
    """

    operand: str
    shape: Shape
    expression: str
    kept: tuple[int, ...] = ()
    squeezed: tuple[int, ...] = ()
    says: str = ""

    @property
    def keepdim(self) -> bool | None:
        """Whether the summed axes stay, with length 1; None where none is summed, or some stay and some do not."""
        return None if bool(self.kept) == bool(self.squeezed) else bool(self.kept)

    @property
    def sums(self) -> str:
        """The sums as code, to be put after an expression; "" where there is nothing to sum."""
        kept = f".sum({_axes(self.kept)}, keepdim=True)" if self.kept else ""
        return kept + (f".sum({_axes(self.squeezed)})" if self.squeezed else "")

    @property
    def code(self) -> str:
        """The gradient as code, summed."""
        if not self.sums:
            return self.expression
        return f"{wrapped(self.expression)}{self.sums}"


@dataclass(frozen=True)
class Warned:
    """A silent trap: its name (a key of `TRAPS`), the step it is in, what happens, and the code that mends it."""

    name: str
    step: int
    says: str
    mend: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Mend:
    """Code that would work where the step does not, the shape it gives, and what it means."""

    code: str
    shape: Shape
    says: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"code": self.code, "shape": list(self.shape), "says": self.says}


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        number: from 1.
        kind: `elementwise`, `product`, `reduction`, `view`, `pointwise` or `loss`.
        op: the operation: `/`, `@`, `sum`.
        code: as Python, `t1 = N.sum(1)`.
        operands: its tensors and numbers, from left to right.
        out: the result; None where the step is an error.
        rows, result: the operands' axes right-aligned, and the result's; empty where there is a single operand.
        axes: what is reduced, of a reduction.
        back: what comes back to each operand that a gradient comes back to.
    """

    number: int
    kind: str
    op: str
    code: str
    operands: tuple[Value, ...]
    out: Value | None
    rows: tuple[tuple[Cell, ...], ...] = ()
    result: tuple[Cell, ...] = ()
    axes: tuple[int, ...] = ()
    back: tuple[Back, ...] = ()
    fault: Fault | None = None
    mends: tuple[Mend, ...] = ()
    says: tuple[str, ...] = field(default=())

    @property
    def gradient(self) -> str:
        """The name that the gradient of its result has."""
        return gradient_name(self.out.name) if self.out else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        operands = [
            {"name": each.name, "shape": list(each.shape), "axes": [cell.to_dict() for cell in row]}
            for each, row in zip(self.operands, self.rows or ((),) * len(self.operands))
        ]
        return {
            "step": self.number,
            "kind": self.kind,
            "op": self.op,
            "code": self.code,
            "operands": operands,
            "shape": None if self.out is None else list(self.out.shape),
            "says": list(self.says),
            "error": None if self.fault is None else self.fault.to_dict(),
            "mends": [mend.to_dict() for mend in self.mends],
        }


def own_origins(name: str, shape: Shape) -> tuple[Origins, ...]:
    """Axes that come from nowhere but this tensor."""
    return tuple(frozenset({(name, axis)}) for axis in range(len(shape)))


def gradient_name(name: str) -> str:
    """What the gradient of a variable is called."""
    return f"d{name}"


def renamed(value: Value, name: str) -> Value:
    """The same value as a variable of its own, known by it from here on."""
    return replace(value, name=name)


def code_of(shape: Sequence[int]) -> str:
    """A shape as Python writes it."""
    return str(tuple(shape))


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else str(axes)
