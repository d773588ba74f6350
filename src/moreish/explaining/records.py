"""What is kept of a computation: each tensor as it was, and each call that made some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.autograd.graph import GradientEdge

from moreish.explaining.calls import called, expression, signed

LONGEST = 48
"""Characters of an expression within a sentence."""
CHANGED = "changed through"
"""The title of a call that nobody saw: memory that a tensor shares was written to."""


@dataclass(eq=False)
class Sent:
    """What one call sent back to one of its inputs, by one edge of autograd's graph."""

    call: Call | None
    """None for what was made outside the block."""
    gradient: Tensor | None
    """Of the input's shape; None where autograd sent nothing, which counts as zero."""
    at: int
    """When, counted in nodes of autograd's graph that had been passed."""


@dataclass(eq=False)
class Recorded:
    """One tensor as it was after one call: a tensor changed in place is recorded anew."""

    tensor: Tensor
    value: Tensor | None
    """A copy, made when it was recorded; None where it holds no numbers."""
    call: Call | None
    """What made it; None for what was there before the block."""
    version: int
    edge: GradientEdge | None = None
    """Where autograd takes its gradient in; None where it wants none."""
    name: str = ""
    variable: str = ""
    """The learner's variable; `name` has a number too where several tensors had this one."""
    nearness: int = float("inf")
    """How far from the block's own variables its name was found."""
    place: str = ""
    """Which of the call's results it is, such as `.values` or `[1]`; "" where there is but one."""
    is_foreign: bool = False
    """Made outside the block, from something that autograd knows of."""
    consumers: list[Call] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    """How it was read as Python numbers, such as `item`."""
    gradient: Tensor | None = None
    """Of the end with respect to it, of its shape; None where there is none."""
    received: list[Sent] = field(default_factory=list)
    """What its consumers sent back, in the order in which it came."""
    awaited: int = 0
    """How many edges of autograd's graph lead back to it from the end, before any was followed."""
    passed: int | None = None
    """When backward passed it, counted as in `Sent`; None where it was not reached, or has nothing behind it."""

    def __repr__(self) -> str:
        return f"<{self.name or 'nameless'} {self.shape}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, as it was."""
        return tuple(self.tensor.shape if self.value is None else self.value.shape)

    @property
    def parents(self) -> list[Recorded]:
        """What it was computed from, in the op's order; what was used twice stands twice."""
        return [] if self.call is None else self.call.inputs

    @property
    def op(self) -> str:
        """What made it, as `Node.op` has it: "" for an input."""
        return f"{self.call.op}{self.place}" if self.call is not None and self.parents else ""

    @property
    def expression(self) -> str:
        """What made it, with names: `a + b`; of an input the function that made it, or ""."""
        return "" if self.call is None else f"{self.call.expression}{self.place}"


@dataclass(eq=False)
class Call:
    """One call of a function of torch. In `args` and `kwargs` what is recorded stands for the tensors."""

    index: int
    function: Any
    args: Any
    kwargs: Any
    inputs: list[Recorded]
    grad_enabled: bool
    inference: bool = False
    title: str = ""
    """Instead of what the function would be called: of a call that was found by its traces."""
    outputs: list[Recorded] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.expression}>"

    @property
    def op(self) -> str:
        """Its sign or name with its numbers: `+`, `** 2`, `sum(1, keepdim=True)`."""
        return self.title or signed(self.function, self.args, self.kwargs, lambda each: isinstance(each, Recorded))

    @property
    def brief(self) -> str:
        """The expression, or where that is long the name alone: `gru(...)`."""
        whole = self.expression
        return whole if len(whole) <= LONGEST or self.function is None else f"{called(self.function)}(...)"

    @property
    def expression(self) -> str:
        """The same with the names of its tensors."""
        names = [each.name for each in self.inputs]
        if self.title == CHANGED:
            return f"{names[0]} {CHANGED} {', '.join(names[1:]) or 'its memory'}"
        if self.title:
            return f"{self.title}({', '.join(names)})"

        def named(each: Any) -> str | None:
            return each.name if isinstance(each, Recorded) else None

        return expression(self.function, self.args, self.kwargs, named)
