"""A tape records one's own PyTorch expression, and shows value and gradient of everything on the way, by name.

    with moreish.tape() as tape:
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.tensor(-3.0, requires_grad=True)
        loss = (a * b + a).tanh()
    print(tape)

It is for a single expression, be it of scalars, as in micrograd (Karpathy 2020), or of tensors: what autograd does is
watched and told, never done again by other means.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from moreish.errors import UsageError, did_you_mean
from moreish.explaining.drawing import diagram
from moreish.explaining.drawing.graph import Graph, Node
from moreish.explaining.taping import table
from moreish.explaining.taping.backward import go_back
from moreish.explaining.taping.calls import inside
from moreish.explaining.taping.figures import plain, short, statistics
from moreish.explaining.taping.naming import block_frame
from moreish.explaining.taping.reasons import Why, why_none
from moreish.explaining.taping.recorder import Recorder
from moreish.explaining.taping.records import Recorded
from moreish.explaining.taping.rules import Rule, rules, visits

_P = ParamSpec("_P")
_R = TypeVar("_R")
ENDS = ("loss", "L")
"""Variables that backward starts from, before the last scalar."""


def _unseen(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """A method whose own work with tensors no other tape records, in a block within a block."""

    @wraps(method)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with torch._C.DisableTorchFunction():
            return method(*args, **kwargs)

    return run


class Tape:
    """What was computed within a block, and what came back. Made by `tape`.

    Attributes:
        records: each tensor that was computed or used, as it was then, in the order of computing.
        ends: the tensors that backward started from; empty where there was none to start from.
        problem: why there are no gradients at all, in a sentence; "" where there are.
    """

    def __init__(self, require_grad: bool = False, variables: Mapping[str, Any] | None = None):
        self.records: list[Recorded] = []
        self.ends: list[Recorded] = []
        self.problem = "Nothing was recorded: use the tape in a with block, as in `with moreish.tape() as tape:`."
        self._require_grad = require_grad
        self._variables = variables
        self._recorder: _Recorder | None = None

    def __enter__(self) -> Tape:
        if self._recorder is not None:
            raise UsageError("tape: this one is used. Open another for another block: with moreish.tape() as tape:")
        frame = block_frame(sys._getframe(1))
        self._recorder = _Recorder(frame, self._require_grad)
        self._recorder.__enter__()
        return self

    @_unseen
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._recorder is not None
        recorder = self._recorder
        recorder.__exit__(kind, error, traceback)
        frame, recorder.block = recorder.block, None
        variables = self._variables if self._variables is not None else frame.f_locals if frame is not None else {}
        recorder.finish(variables)
        self.records = recorder.records
        if recorder.stopped is not None:  # the learner went back themselves
            self._end_at(recorder.stopped, recorder.problem)
        elif kind is not None:
            self.problem = f"The block stopped with {kind.__name__}, so backward was not run."
        else:
            self._go_back_by_itself()

    @_unseen
    def backward(self, end: Tensor, gradient: Tensor | None = None) -> None:
        """Take the gradients of another end than the tape took by itself. The learner's `.grad` is left alone.

        Args:
            end: a tensor that was computed within the block.
            gradient: what it begins with, of its shape; may be left out for a single number, which begins with 1.

        Raises:
            UsageError: it wants no gradient, or is no single number, or what going back needs is gone.
        """
        if not self.records or self._recorder is None:
            raise UsageError(f"tape: {self.problem[0].lower()}{self.problem[1:]}")
        go_back(self._recorder, [end], [gradient])
        self._end_at([end], "")

    def __getitem__(self, name: str) -> Recorded:
        """What is recorded under a name: `value`, `gradient`, `received`; of `h_1`, `h_2`, ... `h` is the last.

        Raises:
            UsageError: nothing has this name.
        """
        exact = [each for each in self.records if each.name == name]
        numbered = [each for each in self.records if each.variable == name]
        if not exact + numbered:
            names = [each.name for each in self.records]
            raise UsageError(f"tape: nothing is called {name!r:.60}. {did_you_mean(name, names)}")
        return (exact or numbered)[-1]

    @_unseen
    def rules(self) -> list[Rule]:
        """The rules of backpropagation that show here, each a sentence, checked against the numbers."""
        return rules(self.records, self.ends)

    def visits(self) -> list[tuple[str, int, int]]:
        """The order of backward: name, contributions awaited, contributions that had come when it was passed."""
        return visits(self.records)

    @_unseen
    def graph(self) -> Graph:
        """Every tensor as a node."""
        ends = {id(each) for each in self.ends}
        nodes = []
        for each in self.records:
            why, parents = self._why(each), tuple(parent.name for parent in each.parents)
            note, is_end = "" if why is None else why[1], id(each) in ends
            texts = short(each.value), short(each.gradient), note
            nodes.append(Node(each.name, each.op, each.shape, parents, *texts, is_end=is_end))
        return Graph(tuple(nodes), " and ".join(each.name for each in self.ends))

    @_unseen
    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: `ends`, `problem`, `nodes`, `visits` and `rules`."""
        return {
            "ends": [each.name for each in self.ends],
            "problem": self.problem,
            "nodes": [self._node(each) for each in self.records],
            "visits": [{"name": name, "awaited": awaited, "come": come} for name, awaited, come in self.visits()],
            "rules": [each.to_dict() for each in self.rules()],
        }

    @_unseen
    def text(self, width: int = 100) -> str:
        """A table of all tensors, and the rules, in lines of at most `width` columns of a terminal; 40 at least."""
        return table.text(self.records, self.ends, self.rules(), self.problem, width)

    def svg(self, dark: bool = False, width: int = 960) -> str:
        """The graph, drawn: SVG text, `width` pixels (px) wide at most.

        Raises:
            UsageError: nothing was recorded, or more than can be seen, or `width` leaves no room.
        """
        return diagram.draw(self.graph(), dark=dark, width=width)

    def __str__(self) -> str:
        return self.text(max(40, shutil.get_terminal_size((100, 24)).columns))

    def __repr__(self) -> str:
        return f"<tape of {len(self.records)} tensors>" if self.records else "<tape>"

    def _repr_svg_(self) -> str | None:
        return self.svg() if self.records else None

    def _node(self, each: Recorded) -> dict[str, Any]:
        why = self._why(each)
        return {
            "name": each.name,
            "op": each.op,
            "made_by": each.expression,
            "shape": list(each.shape),
            "dtype": str(each.tensor.dtype).removeprefix("torch."),
            "parents": [parent.name for parent in each.parents],
            "value": plain(each.value),
            "gradient": plain(each.gradient),
            "statistics": {"value": statistics(each.value), "gradient": statistics(each.gradient)},
            "received": [
                {"from": sent.call.outputs[0].name if sent.call else None, "gradient": plain(sent.gradient)}
                for sent in each.received
            ],
            "note": "" if why is None else why[1],
            "reason": None if why is None else why[0].value,
        }

    def _why(self, each: Recorded) -> tuple[Why, str] | None:
        why = why_none(each, self.ends)
        return None if why is not None and why[0] == Why.NO_BACKWARD else why

    def _go_back_by_itself(self) -> None:
        """From `loss` or `L`, else from the last scalar that wants a gradient."""
        assert self._recorder is not None
        fit = [each for each in self.records if each.edge is not None and each.parents and each.tensor.numel() == 1]
        named = [each for name in reversed(ENDS) for each in fit if each.variable == name]
        if not fit:
            wants = any(each.edge is not None for each in self.records)
            self.problem = (
                "No single number that wants a gradient was computed. End in one, such as loss = y.sum(), or call "
                "tape.backward(y, gradient=...)."
                if wants
                else "Nothing here asks for a gradient. Make the inputs with requires_grad=True, or open the tape with "
                "require_grad=True."
                if self.records
                else "Nothing was computed with torch in the block."
            )
            return
        end = (named or fit)[-1].tensor
        try:
            go_back(self._recorder, [end], [None])
        except UsageError as error:
            self._end_at([], _sentence(error))
        else:
            self._end_at([end], "")

    def _end_at(self, ends: Sequence[Tensor], problem: str) -> None:
        assert self._recorder is not None
        found = [self._recorder.latest(each) for each in ends]
        self.ends, self.problem = [each for each in found if each is not None and not problem], problem


class _Recorder(Recorder):
    """Goes back with the learner: before their own backward lets go of what going back needs."""

    stopped: Sequence[Tensor] | None = None
    """What they went back from."""
    problem = ""

    def on_backward(self, function: Any, args: Any, kwargs: Any) -> None:
        is_grad = function is torch.autograd.grad
        at, key = (
            (2, "grad_outputs")
            if is_grad
            else (1, "grad_tensors" if function is torch.autograd.backward else "gradient")
        )
        seeds = kwargs.get(key, args[at] if len(args) > at else None)
        self.stopped = list(inside(args[:1] or list(kwargs.values())[:1], Tensor))
        given = list(seeds) if isinstance(seeds, (tuple, list)) else [seeds] * len(self.stopped)
        try:
            go_back(self, self.stopped, given)
        except UsageError as error:
            self.problem = _sentence(error)


def _sentence(error: UsageError) -> str:
    said = str(error).removeprefix("tape: ")
    return said[:1].upper() + said[1:]


def tape(require_grad: bool = False) -> Tape:
    """Record the PyTorch expressions of a block: `with moreish.tape() as tape: ...`, then `print(tape)`.

    When the block ends, gradients are taken from the variable `loss` or `L`, else from the last scalar that wants one;
    a backward() within the block is where recording ends, and what it starts from is the end. `tape.backward(y)` takes
    another end. Names are those of the variables.

    Args:
        require_grad: let every tensor of floating-point numbers that the block makes from no other ask for a gradient,
            as micrograd's values do.
    """
    return Tape(require_grad)
