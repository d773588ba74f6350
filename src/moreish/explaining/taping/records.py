"""What is kept of a computation: each tensor as it was, and each call that made some."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moreish.explaining.taping.calls import called, expression, signed

LONGEST = 48
"""Characters of an expression within a sentence."""
CHANGED = "changed through"
"""The title of a call that nobody saw: memory that a tensor shares was written to."""


class Sent:
    """What one call sent back to one of its inputs, by one edge of autograd's graph."""

    def __init__(self, call: Call | None, gradient: Tensor | None, at: int):
        self.call = call
        """None for what was made outside the block."""
        self.gradient = gradient
        """Of the input's shape; None where autograd sent nothing, which counts as zero."""
        self.at = at
        """When, counted in nodes of autograd's graph that had been passed."""


class Recorded:
    """One tensor as it was after one call: a tensor changed in place is recorded anew."""

    edge: GradientEdge | None = None
    """Where autograd takes its gradient in; None where it wants none."""
    name: str = ""
    variable: str = ""
    """The learner's variable; `name` has a number too where several tensors had this one."""
    nearness: float = float("inf")
    """How far from the block's own variables its name was found."""
    place: str = ""
    """Which of the call's results it is, such as `.values` or `[1]`; "" where there is but one."""
    gradient: Tensor | None = None
    """Of the end with respect to it, of its shape; None where there is none."""
    awaited: int = 0
    """How many edges of autograd's graph lead back to it from the end, before any was followed."""
    passed: int | None = None
    """When backward passed it, counted as in `Sent`; None where it was not reached, or has nothing behind it."""

    def __init__(self, tensor: Tensor, value: Tensor | None, call: Call | None, version: int):
        self.tensor = tensor
        self.value = value
        """A copy, made when it was recorded; None where it holds no numbers."""
        self.call = call
        """What made it; None for what was there before the block."""
        self.version = version
        self.consumers: list[Call] = []
        self.numbers: list[str] = []
        """How it was read as Python numbers, such as `item`."""
        self.received: list[Sent] = []
        """What its consumers sent back, in the order in which it came."""

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


class Call:
    """One call of a function of torch. In `args` and `kwargs` what is recorded stands for the tensors.

    A call that was found by its traces has a `title` instead of a function.
    """

    def __init__(self, function: Any, args: Any, kwargs: Any, inputs: list[Recorded], title: str = ""):
        self.function, self.args, self.kwargs, self.inputs, self.title = function, args, kwargs, inputs, title
        self.outputs: list[Recorded] = []
        self.grad_enabled = torch.is_grad_enabled()
        self.inference = torch.is_inference_mode_enabled()

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
