"""Solved exercises, read apart, run, and held against torch's autograd. Nothing of moreish is imported here.

A solved file has one function. Its forward part computes `loss`; its backward part gives each `d<name>`, the derivative
of loss with respect to `<name>`, an argument or a variable of the forward part; it returns locals(). What is right is
said by autograd over the forward part alone, in float64, so by nothing that was written here.
"""

from __future__ import annotations

import ast
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

RIGHT = 1e-9
"""Largest difference of a right gradient from autograd's, by the largest entry."""
WRONG = 1e-6
"""Smallest difference of a gradient that is wrong beyond doubt. What lies between is neither, and is not used."""
SECONDS = 10
"""How long a file may run."""

Values = dict[str, Any]


class Unfit(Exception):
    """The file cannot be read apart or run; says why, and on which line where there is one."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True)
class Solved:
    """A file read apart."""

    source: str
    function: ast.FunctionDef
    forward: list[ast.stmt]
    backward: list[ast.stmt]
    names: frozenset[str]
    """The arguments, and the variables of the forward part."""

    @classmethod
    def read(cls, source: str) -> Solved:
        """Raises Unfit where there is no function, or no backward part in it."""
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise Unfit(f"does not parse: {error.msg}", error.lineno) from None
        functions = [s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == "exercise"]
        if not functions:
            raise Unfit("has no function exercise(...)")
        function = functions[0]
        names = {a.arg for a in function.args.args + function.args.kwonlyargs}
        said = next((i for i, line in enumerate(source.splitlines(), 1) if "# Backward" in line), None)
        for at, statement in enumerate(function.body):
            starts = statement.lineno > said if said else any(gradient_of(n, names) for n in stored(statement))
            if starts:
                return cls(source, function, function.body[:at], function.body[at:], frozenset(names))
            names |= stored(statement)
        raise Unfit("has no backward part")

    def is_gradient(self, name: str) -> bool:
        """Whether it is the `d<name>` of an argument or a variable."""
        return gradient_of(name, self.names)

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """The backward part's lists of statements: its own, and those of its loops."""
        inner = [
            getattr(node, part)
            for statement in self.backward
            for node in ast.walk(statement)
            for part in ("body", "orelse")
            if isinstance(getattr(node, part, None), list) and not isinstance(node, ast.FunctionDef)
        ]
        return [self.backward, *(block for block in inner if block)]

    @cached_property
    def order(self) -> list[str]:
        """Each `d<name>` in the order in which they are complete: by the last line that writes to it."""
        last: dict[str, int] = {}
        for block in self.blocks:
            for statement in block:
                for name in [target(statement), *stored(statement)]:
                    if self.is_gradient(name) and not isinstance(statement, ast.For | ast.While | ast.With):
                        last[name] = max(last.get(name, 0), statement.lineno)
        return sorted(last, key=lambda name: (last[name], name))


def gradient_of(name: str, names: set[str] | frozenset[str]) -> bool:
    """Whether a name is `d` and then one of the names."""
    return name.startswith("d") and name[1:] in names and name not in names


def stored(node: ast.AST) -> set[str]:
    """The names that a piece of code assigns to."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def loaded(node: ast.AST) -> set[str]:
    """The names that a piece of code reads. `x += 1` reads x."""
    aug = {n.target.id for n in ast.walk(node) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    return aug | {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def target(statement: ast.stmt) -> str:
    """The variable that a simple statement writes to: of `dx[i] += 1` and of `dx.add_(1)` it is dx; "" for others."""
    match statement:
        case ast.Assign(targets=[place]) | ast.AugAssign(target=place) | ast.AnnAssign(target=place):
            pass
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=place, attr=method))) if method.endswith("_"):
            pass
        case _:
            return ""
    while isinstance(place, ast.Subscript | ast.Attribute):
        place = place.value
    return place.id if isinstance(place, ast.Name) else ""


def swap(tree: Any, old: ast.AST, new: ast.AST | list[Any]) -> Any:
    """A copy of a piece of code, with one of its nodes, found by identity, replaced."""
    if tree is old:
        return new
    if isinstance(tree, ast.AST):
        copy = type(tree)(**{name: swap(value, old, new) for name, value in ast.iter_fields(tree)})
        return ast.copy_location(copy, tree) if hasattr(tree, "lineno") else copy
    if isinstance(tree, list):
        return [swap(part, old, new) for part in tree]
    return tree


@contextmanager
def _limited() -> Iterator[None]:
    """Float64 by default, no warnings, and a limit of time."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"ran for more than {SECONDS} s")

    before, dtype = signal.signal(signal.SIGALRM, stop), torch.get_default_dtype()
    signal.alarm(SECONDS)
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        torch.set_default_dtype(dtype)


def run(source: str, inputs: Values, learning: bool = False) -> Values:
    """What the file's function returns for copies of the inputs, floats as float64; `learning` records for autograd.

    Raises Unfit with the file's line where it raises something.
    """
    given: Values = {}
    for name, value in inputs.items():
        is_float = isinstance(value, Tensor) and value.is_floating_point()
        given[name] = value.detach().clone() if isinstance(value, Tensor) else value
        if is_float:
            given[name] = given[name].double().requires_grad_(learning)
    found: Values = {}
    try:
        with _limited(), torch.set_grad_enabled(learning):
            exec(compile(source, "<exercise>", "exec"), found)
            returned = found["exercise"](**given)
    except Exception as error:
        trace, line = error.__traceback__, getattr(error, "lineno", None)
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<exercise>":
                line = trace.tb_lineno
            trace = trace.tb_next
        raise Unfit(f"{type(error).__name__}: {error}", line) from None
    if not isinstance(returned, dict):
        raise Unfit(f"returned {type(returned).__name__}, not its variables")
    return returned


def truth(solved: Solved, inputs: Values) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Autograd's gradients as `d<name>` by the forward part, and the forward part's tensors of floats by name."""
    lines = solved.source.splitlines()
    text = "\n".join([*lines[: solved.backward[0].lineno - 1], " " * solved.backward[0].col_offset + "return locals()"])
    values = run(text, inputs, learning=True)
    if not isinstance(values.get("loss"), Tensor):
        raise Unfit("its forward part gives no loss")
    floats = {n: v for n, v in values.items() if isinstance(v, Tensor) and v.is_floating_point()}
    names = [name for name, value in floats.items() if value.requires_grad]
    gradients = torch.autograd.grad(values["loss"], [floats[n] for n in names], allow_unused=True)
    found = {f"d{n}": g.detach() for n, g in zip(names, gradients) if g is not None}
    return found, {n: v.detach() for n, v in floats.items()}


def jitter(inputs: Values, seed: int = 1) -> Values:
    """Other inputs of the same kind: each float times a factor between 0.8 and 1.2, so signs and zeros stay."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: value * (0.8 + 0.4 * torch.rand(value.shape, generator=random, dtype=torch.float64)).to(value.dtype)
        if isinstance(value, Tensor) and value.is_floating_point()
        else value
        for name, value in inputs.items()
    }


def judge(given: Values, right: dict[str, Tensor], names: list[str]) -> dict[str, bool | None]:
    """For each `d<name>`: True where it is right, False where it is wrong, None where one cannot be sure."""
    whole = max(float(g.abs().max()) for g in right.values() if g.numel())
    found: dict[str, bool | None] = {}
    for name in names:
        ours, theirs = given.get(name), right[name]
        if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
            found[name] = False
            continue
        # A gradient that is zero in theory is rounding in both: it is measured by the others.
        scale = max(float(theirs.abs().max()), 1e-3 * whole) if theirs.numel() else 1.0
        difference = float((ours.detach().double() - theirs).abs().max()) / scale if theirs.numel() else 0.0
        found[name] = True if difference <= RIGHT else (None if difference <= WRONG else False)
    return found


class Bench:
    """A right file with its inputs; says of other files whether they are right, and where they first are not.

    Raises Unfit where the right file is not right.
    """

    def __init__(self, source: str, inputs: Values) -> None:
        self.solved = Solved.read(source)
        self.inputs = [inputs, jitter(inputs)]
        told = [truth(self.solved, given) for given in self.inputs]
        self.right = [gradients for gradients, _ in told]
        self.values = [values for _, values in told]
        self.shapes = {name: tuple(value.shape) for name, value in told[0][1].items()}
        self.order = [name for name in self.solved.order if name in self.right[0]]
        wrong = self.wrong(source)
        if wrong or not self.order:
            raise Unfit(f"the solution itself is wrong: {', '.join(wrong or ['no gradient'])}")

    def wrong(self, source: str) -> list[str] | None:
        """The wrong `d<name>`, in the order of the right file: empty where all is right, None where one is unsure.

        Unsure is what lies between right and wrong, what is wrong for one of the inputs only, and what changes an
        argument or a variable of the forward part, which two names for one tensor and += can do.

        Raises Unfit where the file cannot be run.
        """
        judged = []
        for given, right, values in zip(self.inputs, self.right, self.values):
            found = run(source, given)
            if any(
                not torch.allclose(found[name], value, 1e-9, 1e-12, equal_nan=True) for name, value in values.items()
            ):
                return None
            judged.append(judge(found, right, self.order))
        by_name = {name: {one[name] for one in judged} for name in self.order}
        if any(len(verdicts) > 1 or None in verdicts for verdicts in by_name.values()):
            return None
        return [name for name in self.order if by_name[name] == {False}]

    def numbers(self, source: str, name: str) -> tuple[object, ...]:
        """What a file gives for one `d<name>`, short enough to compare: equal where two files give the same numbers."""
        found = run(source, self.inputs[0]).get(name)
        if not isinstance(found, Tensor):
            return (repr(found),)
        at = torch.arange(1, found.numel() + 1, dtype=torch.float64).reshape(found.shape).cos()
        return (*found.shape, f"{float((found.double() * at).sum()):.9g}")
