"""A learner's file taken apart: its function statement by statement, so that it can be run with right derivatives.

Run plainly, a mistake spreads to everything computed after it. Run *forced*, each `d<name>` is recorded after the last
statement that changes it and then replaced by the true derivative, so that what is wrong in a forced run is wrong by
its own fault.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import FUNCTION, Exercise
from moreish.explaining.grading.truth import Truth

FILE = "<exercise>"
"""What the learner's file is called in tracebacks, so that its lines are told from torch's."""
TOO_DEEP = "it is nested too deep to be judged. Split it into several statements"
NAMED = re.compile(r"^[\s#]*exercise:\s*(\S+)\s*$", re.MULTILINE)


class Fault(Exception):
    """The file cannot be graded: a sentence, and the line where there is one."""

    def __init__(self, message: str, line: int | None = None, hidden: bool = False):
        super().__init__(message)
        self.line = line
        self.hidden = hidden
        """Whether no statement says what is wrong: a given value was changed under another name."""


@dataclass
class Failure:
    """A statement that raised."""

    error: BaseException
    line: int


def parse(source: str) -> ast.Module:
    """The file as a tree.

    Raises:
        Fault: it does not parse.
    """
    try:
        return ast.parse(source, FILE)
    except SyntaxError as error:
        raise Fault(f"it does not parse: {error.msg}", error.lineno) from None
    except (RecursionError, MemoryError) as error:
        raise Fault(f"it does not parse: {error or TOO_DEEP}") from None
    except ValueError as error:
        raise Fault(f"it does not parse: {error}") from None


def named_exercise(source: str) -> str | None:
    """The id on the line `exercise: ID`, or None."""
    found = NAMED.search(source)
    return None if found is None else found[1]


@dataclass
class Submission:
    """A learner's function, its statements, and which of them change which derivative."""

    exercise: Exercise
    module: dict[str, Any]
    """The names of the file's own level, from running it."""
    statements: list[ast.stmt]
    """Those after the given forward, without the final return."""
    changes: list[set[str]] = field(default_factory=list)
    """For each statement, the nodes that it changes."""
    stores: list[set[str]] = field(default_factory=list)
    """For each statement, every name that it assigns or changes in place."""
    _codes: dict[int, CodeType] = field(default_factory=dict)

    @classmethod
    def of(cls, exercise: Exercise, tree: ast.Module, module: dict[str, Any]) -> Submission:
        """Take a parsed file apart. The forward ends with the statement that assigns `loss`.

        Raises:
            Fault: it has no function of the right name.
        """
        function = find_function(tree)
        body = list(function.body)
        ends = [index for index, each in enumerate(body) if isinstance(each, ast.Assign) and "loss" in stored(each)]
        backward = body[ends[0] + 1 :] if ends else body
        backward = [each for each in backward if not isinstance(each, ast.Return)]
        found = cls(exercise, module, backward)
        found.stores = [stored(each) for each in backward]
        nodes = set(exercise.nodes)
        found.changes = [each & nodes for each in found.stores]
        return found

    def last(self, node: str) -> int:
        """The last statement that changes a node, or -1."""
        return max((index for index, each in enumerate(self.changes) if node in each), default=-1)

    def line(self, node: str) -> int | None:
        """The line of the last statement that changes a node."""
        last = self.last(node)
        return None if last < 0 else self.statements[last].lineno

    def run(self, truth: Truth, forced: bool) -> tuple[dict[str, Any], dict[str, Failure]]:
        """Run the statements on one draw, whatever fails on the way.

        Returns:
            what each node came to (missing where it was never assigned), and why those that failed did.
        """
        scope = self.scope(truth)
        last = {node: self.last(node) for node in self.exercise.nodes}
        found: dict[str, Any] = {}
        failures: dict[str, Failure] = {}
        if forced:  # what was left out is given
            scope.update({node: truth.gradients[node].clone() for node, index in last.items() if index < 0})
        right = {name: (_mark(scope[name]), each) for name, each in truth.values.items() if isinstance(each, Tensor)}
        for index in range(len(self.statements)):
            before = {node: _mark(scope.get(node)) for node in self.exercise.nodes}
            failure = self.step(index, scope)
            if failure is not None:
                failures.update({node: failure for node in self.changes[index] if node not in failures})
            else:
                seen = loaded(self.statements[index])  # else its tensor has another name, under which it was changed
                self.changes[index] |= {n for n, mark in before.items() if n in seen and mark != _mark(scope.get(n))}
            for node in self.changes[index]:
                if index >= last[node]:
                    if node in scope:
                        found[node] = scope[node].clone() if isinstance(scope[node], Tensor) else scope[node]
                    if forced:
                        scope[node] = truth.gradients[node].clone()
                        right[node] = _mark(scope[node]), truth.gradients[node]
            if forced:
                _restore(scope, right, self.stores[index])
        return found, failures

    def ends_with(self, truth: Truth, node: str) -> Any:
        """What a node's name stands for after the last statement."""
        scope = self.scope(truth)
        for index in range(len(self.statements)):
            self.step(index, scope)
        return scope.get(node)

    def scope(self, truth: Truth) -> dict[str, Any]:
        """The names that the backward begins with: the file's own, and a copy of every forward value."""
        values = {name: each.clone() if isinstance(each, Tensor) else each for name, each in truth.values.items()}
        return {**self.module, **values}

    def step(self, index: int, scope: dict[str, Any]) -> Failure | None:
        """Run one statement; what it raises comes back.

        Raises:
            Fault: it is nested too deep to be compiled alone.
        """
        if index not in self._codes:
            self._codes[index] = _compiled_alone(self.statements[index])
        try:
            exec(self._codes[index], scope)
        except (Exception, SystemExit) as error:
            return Failure(error, line_of(error) or self.statements[index].lineno)
        return None

    def slice(self, node: str) -> list[int]:
        """The statements that a node is made by: those that change it, and the helpers that these need."""
        return slice_of(self.statements, self.stores, node, {*self.exercise.nodes, "loss"})


def slice_of(statements: Sequence[ast.stmt], stores: Sequence[set[str]], node: str, stop: Iterable[str]) -> list[int]:
    """The indexes of the statements behind a node; names in `stop` are taken as given."""
    stop = set(stop) - {node}
    wanted, chosen = {node}, set()
    for index in reversed(range(len(statements))):
        if stores[index] & wanted:
            chosen.add(index)
            wanted |= loaded(statements[index]) - stop
    return sorted(chosen)


def find_function(tree: ast.Module) -> ast.FunctionDef:
    """The learner's function.

    Raises:
        Fault: there is none.
    """
    found = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == FUNCTION]
    if not found:
        raise Fault(f"it has no function called {FUNCTION!r}. Keep the one it began with")
    return found[-1]


def compiled(*statements: ast.stmt) -> CodeType:
    """Statements ready to run."""
    return compile(ast.fix_missing_locations(ast.Module([*statements], [])), FILE, "exec")


def _compiled_alone(statement: ast.stmt) -> CodeType:
    try:
        return compile(ast.Module([statement], []), FILE, "exec")  # it has its locations from the file
    except RecursionError:
        raise Fault(TOO_DEEP, statement.lineno) from None


def stored(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns or changes in place: `dx = `, `dx += `, `dx[i] = `, `dx.add_()`, `out=dx`."""
    found = set()
    for each in ast.walk(statement):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            found.add(each.id)
        elif isinstance(each, (ast.Subscript, ast.Attribute)) and isinstance(each.ctx, ast.Store):
            found |= _root(each)
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
            found.add(each.name)
        elif isinstance(each, ast.Call):
            if isinstance(each.func, ast.Attribute) and re.fullmatch(r"[a-z]\w*[^_]_", each.func.attr):
                found |= _root(each.func.value)
            for keyword in each.keywords:
                if keyword.arg == "out":
                    found |= _root(keyword.value)
    return found


def loaded(statement: ast.AST) -> set[str]:
    """The names that a statement reads, `dx` in `dx += 1` among them."""
    found = {each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    for each in ast.walk(statement):
        if isinstance(each, ast.AugAssign):
            found |= _root(each.target)
    return found


def line_of(error: BaseException) -> int | None:
    """The innermost line of the learner's file in an error's traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return lines[-1] if lines else None


def as_tensor(value: Any) -> Tensor | None:
    """A learner's value as a tensor; numbers and numpy's arrays are taken, anything else is None."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (bool, int, float)):
        return torch.as_tensor(value, dtype=torch.float64)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        try:
            return torch.as_tensor(value)
        except (TypeError, ValueError):
            return None
    return None


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _restore(scope: dict[str, Any], right: dict[str, tuple[tuple[int, int], Tensor]], named: set[str]) -> None:
    """Right values again where a statement changed them under another name, as `dx += 1` does after `dx = dy`."""
    for name, (mark, value) in right.items():
        if name not in named and mark != _mark(scope[name]):
            scope[name] = value.clone()
            right[name] = _mark(scope[name]), value


def _mark(value: Any) -> tuple[int, int]:
    """Changes when a name is bound anew or its tensor is changed in place."""
    return id(value), value._version if isinstance(value, Tensor) else 0
