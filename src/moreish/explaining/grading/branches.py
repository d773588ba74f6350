"""The ways by which a value reaches the loss, and what each of them hands back, measured by autograd."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from moreish.explaining.grading.syntax import replaced
from moreish.explaining.grading.truth import Truth, derivative, segment

MAXIMA = {"max", "min", "amax", "amin", "maximum", "minimum"}


@dataclass(frozen=True)
class Branch:
    """One use of a value in the given forward, on the way from a node to the loss."""

    words: str
    values: tuple[Tensor, ...]
    """What it hands back to the node, on each draw."""
    is_maximum: bool


def find_branches(truths: Sequence[Truth], node: str) -> list[Branch]:
    """Every use on the way whose contribution is neither nothing nor all there is, each once."""
    exercise = truths[0].exercise
    forward = list(exercise.forward)
    between = segment(exercise, node)
    on_the_way = {node[1:], *(target for index in between for target in _targets(forward[index]))}
    found: list[Branch] = []
    for index in between:
        statement = forward[index]
        for use in ast.walk(statement):
            if not (isinstance(use, ast.Name) and isinstance(use.ctx, ast.Load) and use.id in on_the_way):
                continue
            value = truths[0].values[use.id]
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                continue
            constant = ast.Call(ast.Attribute(use, "detach", ast.Load()), [], [])
            made = [*forward[:index], replaced(statement, use, constant), *forward[index + 1 :]]
            handed = []
            for truth in truths:
                rest = derivative(truth, node, made)  # type: ignore[arg-type]
                whole = truth.gradients[node]
                handed.append(whole if rest is None else whole - rest)
            if any(t.is_nothing(v) for t, v in zip(truths, handed)):
                continue
            branch = Branch(f"`{'`, `'.join(_targets(statement))}`", tuple(handed), _is_maximum(statement))
            if not any(all(t.is_close(a, b) for t, a, b in zip(truths, branch.values, each.values)) for each in found):
                found.append(branch)
            elif branch.is_maximum:  # the same contribution, told by its more particular name
                same = next(i for i, each in enumerate(found) if truths[0].is_close(each.values[0], branch.values[0]))
                found[same] = branch
    return found


def _targets(statement: ast.stmt) -> list[str]:
    return [each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


def _is_maximum(statement: ast.stmt) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr in MAXIMA for each in ast.walk(statement))
