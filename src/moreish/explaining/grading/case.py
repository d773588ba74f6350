"""A wrong node under examination: its statements, its values, and what would make it right or explain it."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.grading.branches import Branch, find_branches
from moreish.explaining.grading.edits import Names, factors_of
from moreish.explaining.grading.submission import Submission, as_tensor, compiled, loaded, slice_of, stored
from moreish.explaining.grading.truth import Truth

SECONDS = 8.0
"""Of the processor, to look for a cause; then it is unknown. Seen: 0.02 for most, 4 at most."""
SLOW = 1.0
"""Seconds: a file that ran for longer is run again only a few times."""
AGAIN, AGAIN_SLOW = 20.0, 3.0
"""Seconds of the clock for running the learner's statements again, changed; then only the other hypotheses go on."""
NONE_FITS, CUT = "no known mistake gives these numbers", "it runs too slowly to try every known mistake"


@dataclass(frozen=True)
class Finding:
    """A cause, and a few words on where it lies."""

    cause: str
    words: str = ""


@dataclass
class Case:
    """A wrong node: what the learner got for it on each draw where everything before it is right."""

    node: str
    truths: list[Truth]
    got: list[Tensor | None]
    """None where it raised."""
    submission: Submission | None = None
    ran: float = 0.0
    """Seconds that the file took on all draws."""
    ends: float = field(default_factory=lambda: time.process_time() + SECONDS)
    spent: float = 0.0
    """Seconds that its statements took since, to look for the cause."""
    cut: bool = False
    """Whether some change was not tried for want of time."""

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The learner's statements behind the node."""
        if self.submission is None:
            return []
        return [self.submission.statements[index] for index in self.submission.slice(self.node)]

    @cached_property
    def solved(self) -> list[ast.stmt]:
        """The solution's statements behind it."""
        exercise = self.truths[0].exercise
        stores = [stored(each) for each in exercise.backward]
        stop = {*exercise.nodes, *self.truths[0].values}
        return [exercise.backward[index] for index in slice_of(exercise.backward, stores, self.node, stop)]

    @cached_property
    def branches(self) -> list[Branch]:
        """The uses of the node's value in the forward."""
        self.watch()
        return find_branches(self.truths, self.node)

    @cached_property
    def names(self) -> Names:
        """What the names in the learner's statements stand for."""
        scope = dict(self.truths[0].values)
        self.value(self.statements, 0, scope)
        earlier = self.truths[0].exercise.nodes[: self.truths[0].exercise.nodes.index(self.node)]
        return Names(
            tuple(n for n, v in scope.items() if type(v) is int and v > 1),
            (*(n for n, v in scope.items() if isinstance(v, Tensor) and v.is_floating_point() and n != self.node
               and n not in self.truths[0].gradients), *earlier),
            factors_of(self.solved),
            (*(n for n, v in scope.items() if isinstance(v, (Tensor, int, float)) and n != self.node
               and n not in self.truths[0].gradients), *earlier),
        )  # fmt: skip

    def value(self, statements: Sequence[ast.stmt], draw: int, scope: dict[str, Any] | None = None) -> Tensor | None:
        """What statements make of the node where everything before it is right; None where they raise."""
        truth = self.truths[draw]
        module = {} if self.submission is None else self.submission.module
        used = set().union(*map(loaded, statements)) if statements else set()
        found: dict[str, Any] = {"torch": torch, "F": torch.nn.functional, **module}
        for name, each in (*truth.values.items(), *truth.gradients.items()):
            if name in used and name != self.node:
                found[name] = each.clone() if isinstance(each, Tensor) else each
        try:
            exec(compiled(*statements), found)
        except Exception:
            return None
        if scope is not None:
            scope.update({name: each for name, each in found.items() if name != "__builtins__"})
        return as_tensor(found.get(self.node))

    def repairs(self, statements: Sequence[ast.stmt]) -> bool:
        """Whether these statements are right on every draw; False where there is no time left to run them."""
        self.watch()
        if self.spent > (AGAIN_SLOW if self.ran > SLOW else AGAIN):
            self.cut = True
            return False
        began = time.monotonic()
        try:
            values = (self.value(statements, draw) for draw in range(len(self.truths)))
            return all(v is not None and t.is_right(self.node, v) for t, v in zip(self.truths, values))
        finally:
            self.spent += time.monotonic() - began

    def predicts(self, value: Callable[[int], Tensor | None]) -> bool:
        """Whether `value(draw)` is what the learner got, on every draw."""
        self.watch()
        for draw, (truth, got) in enumerate(zip(self.truths, self.got)):
            if got is None:
                return False
            found = value(draw)
            if found is None or truth.is_right(self.node, found) or not truth.is_close(got, found.double()):
                return False
        return True

    def watch(self) -> None:
        """Raises TimeoutError when the time for the search is up."""
        if time.process_time() > self.ends:
            raise TimeoutError
