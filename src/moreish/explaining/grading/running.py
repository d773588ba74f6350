"""A learner's function called as it is: what it returned, or a sentence on why it did not; what it must leave alone."""

from __future__ import annotations

import ast
import contextlib
import io
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import FUNCTION
from moreish.explaining.grading.submission import FILE, TOO_DEEP, Fault, find_function, line_of, stored
from moreish.explaining.grading.truth import CLOSE, Truth
from moreish.explaining.grading.wording import fault_of


class Nowhere(io.TextIOBase):
    """Where what a file prints goes after its first run."""

    def write(self, text: str, /) -> int:
        return len(text)


def load(tree: ast.Module) -> dict[str, Any]:
    """Run the file's own level: its imports and what else it defines."""
    module: dict[str, Any] = {"__name__": FUNCTION}
    try:
        code = compile(tree, FILE, "exec")
    except SyntaxError as error:  # what only compiling sees, such as a break outside a loop
        raise Fault(f"it does not parse: {error.msg}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise Fault(TOO_DEEP) from None
    try:
        exec(code, module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Fault(fault_of(error), line_of(error)) from None
    return module


def call(module: dict[str, Any], truths: list[Truth], tree: ast.Module) -> tuple[Fault | None, list[dict[str, Any]]]:
    """Call the learner's function on each draw: what it returned, or why it did not."""
    find_function(tree)
    function = module.get(FUNCTION)
    results = []
    for truth in truths:
        inputs = {name: each.clone() for name, each in truth.inputs.items()}
        shown = contextlib.nullcontext() if truth is truths[0] else contextlib.redirect_stdout(Nowhere())
        try:
            with shown:
                found = function(**inputs)  # type: ignore[misc]
                if is_dict := isinstance(found, dict):
                    found = dict(found)  # whatever its class does when asked
        except Exception as error:
            return Fault(fault_of(error), line_of(error)), results
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Fault(fault_of(error), line_of(error)) from None
        if not is_dict:
            raise Fault(
                f"{FUNCTION} returned {described(found)}, not its local names. End it with `return locals()`",
                _return_line(tree),
            )
        try:
            _check_given(truth, inputs, found, tree)
        except Fault as fault:
            if not fault.hidden:
                raise
            return fault, results
        results.append(found)
    return None, results


def _check_given(truth: Truth, inputs: dict[str, Tensor], found: dict[str, Any], tree: ast.Module) -> None:
    """Refuse a run that changed its inputs or the given forward.

    Raises:
        Fault: it did; names the line.
    """
    for name, before in truth.inputs.items():
        if not torch.equal(inputs[name].detach(), before):
            line, hidden = _changing_line(truth, name, tree)
            raise Fault(f"it changes its input {name!r}. Work on a copy, such as {name}.clone()", line, hidden)
    for name, want in truth.values.items():
        if not _same(found.get(name, want), want):
            line, hidden = _changing_line(truth, name, tree)
            raise Fault(f"it changes {name!r}, which is given. Use another name, or {name}.clone()", line, hidden)


def _same(got: Any, want: Any) -> bool:
    if not isinstance(want, Tensor):
        try:
            return bool(got == want)  # 5.0 or a tensor of one 5 is as good as 5
        except Exception:  # as a tensor of several raises
            return False
    if not isinstance(got, Tensor) or got.shape != want.shape:
        return False
    return torch.allclose(got.detach().double(), want.double(), rtol=CLOSE, atol=CLOSE)


def _changing_line(truth: Truth, name: str, tree: ast.Module) -> tuple[int | None, bool]:
    """The first statement of the learner's that leaves a given name with another value, and whether it hides that."""
    given = {ast.dump(each) for each in truth.exercise.forward}
    statements = [each for each in find_function(tree).body if not _is_in(given, each)]
    named = [each for each in statements if name in stored(each)]
    if named:
        return named[0].lineno, False
    scope: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    scope.update({n: v.clone() if isinstance(v, Tensor) else v for n, v in truth.values.items()})
    want = truth.values[name]
    for each in statements:
        try:
            exec(compile(ast.Module([each], []), FILE, "exec"), scope)
        except (Exception, SyntaxError):
            continue
        got = scope.get(name)
        if isinstance(want, Tensor) and not (isinstance(got, Tensor) and torch.equal(got, want)):
            return each.lineno, True
    return None, True


def _is_in(dumps: set[str], statement: ast.stmt) -> bool:
    try:
        return ast.dump(statement) in dumps
    except RecursionError:  # nothing that is given is nested so deep
        return False


def described(value: Any) -> str:
    """What a value is that should be something else."""
    return "None" if value is None else f"of type {type(value).__name__}"


def _return_line(tree: ast.Module) -> int | None:
    found = [each for each in ast.walk(find_function(tree)) if isinstance(each, ast.Return)]
    return found[-1].lineno if found else find_function(tree).lineno
