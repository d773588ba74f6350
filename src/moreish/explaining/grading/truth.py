"""What is right: an exercise's forward values and, by torch's autograd in float64, the derivative of each of them.

Besides the truth it gives *what a mistaken forward would give*: the derivative of an exercise in which one statement
was changed, such as one use of a value taken for a constant. That is how a learner's number is recognised whatever way
it was computed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import Exercise, run_statements

CLOSE, CLOSE_IN_FLOAT32 = 1e-6, 1e-4
"""Rounding: a difference up to this, relative to the largest entry of the node's derivative, is none."""
ZERO = 1e-10
"""A derivative below this part of the exercise's largest one is zero in theory: its size is no scale to measure by."""
PART = 0.1
"""Of the largest derivative: the scale of one that is zero in theory."""


@dataclass(frozen=True)
class Truth:
    """One draw of an exercise: its inputs, every forward value, and the derivative of loss at every node asked for."""

    exercise: Exercise
    inputs: dict[str, Tensor]
    values: dict[str, object]
    gradients: dict[str, Tensor]

    @cached_property
    def largest(self) -> float:
        """The largest entry of any derivative."""
        return max(float(each.abs().max()) for each in self.gradients.values())

    def is_right(self, node: str, got: Tensor) -> bool:
        """Whether `got` is this node's derivative, to rounding."""
        return self.is_close(got, self.gradients[node])

    def is_close(self, got: Tensor, want: Tensor) -> bool:
        """Whether two tensors are of one shape and differ by no more than rounding."""
        if got.shape != want.shape or got.is_complex():
            return False
        scale = float(want.abs().max())
        if scale < ZERO * self.largest:
            scale = PART * self.largest
        tolerance = CLOSE_IN_FLOAT32 if got.dtype in (torch.float32, torch.float16, torch.bfloat16) else CLOSE
        return bool(((got.double() - want).abs() <= tolerance * scale).all())  # NaN is never close

    def is_nothing(self, value: Tensor) -> bool:
        """Whether a value is zero beside the exercise's derivatives."""
        return float(value.abs().max()) < ZERO * self.largest


def find_truth(exercise: Exercise, draw: int) -> Truth:
    """The truth about one draw."""
    inputs = exercise.drawn(draw)
    with torch.enable_grad():
        leaves: dict[str, Tensor] = {
            name: each.clone().requires_grad_() if each.is_floating_point() else each for name, each in inputs.items()
        }
        values = exercise.forward_values(leaves)
        loss = values["loss"]
        assert isinstance(loss, Tensor)
        wanted = [values[node[1:]] for node in exercise.nodes]
        gradients = torch.autograd.grad(loss, wanted)  # type: ignore[arg-type]
    plain = {name: each.detach() if isinstance(each, Tensor) else each for name, each in values.items()}
    return Truth(exercise, inputs, plain, {n: g.contiguous() for n, g in zip(exercise.nodes, gradients)})


def derivative(
    truth: Truth,
    node: str,
    statements: Sequence[ast.stmt] | None = None,
    upstream: Callable[[str], Tensor] | None = None,
) -> Tensor | None:
    """The derivative at one node from those of the nodes that come next on the way to the loss.

    Args:
        truth: of one draw.
        node: such as `dlogits`.
        statements: a forward to follow instead of the given one.
        upstream: the derivative at each next node; by default the true one.

    Returns:
        the derivative; None where nothing comes back, or the statements cannot be run.
    """
    upstream = upstream or truth.gradients.__getitem__
    name = node[1:]
    start = truth.values[name]
    assert isinstance(start, Tensor)
    values = dict(truth.values)
    reached = {name}
    total = None
    try:
        with torch.enable_grad():
            values[name] = start.clone().requires_grad_()
            for statement in statements or truth.exercise.forward:
                target = _target(statement)
                if target == name or not reached & _loaded(statement):
                    continue
                run_statements((statement,), values)
                out = values[target]
                if not isinstance(out, Tensor) or not out.requires_grad:
                    continue
                ends = target == "loss" or f"d{target}" in truth.gradients
                if ends:
                    into = torch.ones(()) if target == "loss" else upstream(f"d{target}")
                    part = (out * into).sum()
                    total = part if total is None else total + part
                    values[target] = truth.values[target]
                else:
                    reached.add(target)
            if total is None:
                return None
            leaf = values[name]
            assert isinstance(leaf, Tensor)
            (found,) = torch.autograd.grad(total, leaf, allow_unused=True)
            return found
    except Exception:  # an edited forward may raise anything
        return None


def follows(truth: Truth, node: str, values: Mapping[str, Tensor]) -> bool:
    """Whether a node's value is what the right statement makes of the values of the nodes that come before it.

    Those that `values` lacks are taken as right.
    """
    for each in next_nodes(truth.exercise, node):
        if each in values and values[each].shape != truth.gradients[each].shape:
            return False
    made = derivative(truth, node, None, lambda n: values[n].double() if n in values else truth.gradients[n])
    return made is not None and truth.is_close(values[node], made)


def segment(exercise: Exercise, node: str) -> list[int]:
    """Which given statements lie between a node and the nodes that come next on the way to the loss."""
    reached = {node[1:]}
    found = []
    for index, statement in enumerate(exercise.forward):
        target = _target(statement)
        if target != node[1:] and reached & _loaded(statement):
            found.append(index)
            if target != "loss" and f"d{target}" not in exercise.nodes:
                reached.add(target)
    return found


def next_nodes(exercise: Exercise, node: str) -> list[str]:
    """The nodes from whose derivatives this one's follows."""
    targets = (f"d{_target(exercise.forward[index])}" for index in segment(exercise, node))
    return [target for target in dict.fromkeys(targets) if target in exercise.nodes]


def _target(statement: ast.stmt) -> str:
    """What a given statement assigns: each assigns one name."""
    assert isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name), ast.unparse(statement)
    return statement.targets[0].id


def _loaded(statement: ast.stmt) -> set[str]:
    return {each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
