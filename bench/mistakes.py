"""Mistakes within one formula: what is replaced, by what, and of which kind it is (the kinds are in mutants.py)."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from formulas import (
    factors,
    is_count,
    is_filling,
    is_scalar,
    names_of_counts,
    names_of_maxima,
    names_of_scalars,
    negated,
    operands,
    places,
    product,
    terms,
    text,
    tops,
    total,
)
from solved import Solved, loaded, stored, target

SUMMING = {"sum", "mean", "max", "amax", "softmax", "log_softmax", "cumsum"}
IN_PLACE = {"index_add_": "index_copy_", "scatter_add_": "scatter_"}

Found = tuple[str, ast.AST, ast.AST, str]
"""Kind, the node replaced, what replaces it, and in words."""


@dataclass
class Formulas:
    """What is known of a file's names, and the mistakes that can be made in its formulas."""

    solved: Solved
    shapes: dict[str, tuple[int, ...]]
    random: random.Random
    statements: list[ast.stmt] = field(init=False)
    """Of the backward part, those in loops included."""
    counts: set[str] = field(init=False)
    scalars: set[str] = field(init=False)
    maxima: set[str] = field(init=False)
    carriers: set[str] = field(init=False)
    """The variables that hold a gradient, or are computed from one."""
    accumulated: set[str] = field(init=False)
    """The variables that are changed in place."""
    sums: set[str] = field(init=False)
    """The sums and differences of the forward part, as text."""

    def __post_init__(self) -> None:
        self.statements = [s for block in self.solved.blocks for s in block]
        everything = self.solved.forward + self.statements
        self.counts = names_of_counts(everything)
        self.scalars = names_of_scalars(everything, self.counts)
        self.maxima = {f"d{name}" for name in names_of_maxima(self.solved.forward)}
        inner = [node for statement in self.solved.forward for node in ast.walk(statement)]
        self.sums = {text(n) for n in inner if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add | ast.Sub)}
        self.carriers = set(self.solved.order)
        self.accumulated = {target(s) for s in self.statements if isinstance(s, ast.AugAssign)}
        for statement in self.statements:
            if loaded(statement) & self.carriers:
                self.carriers |= stored(statement)

    def in_value(self, statement: ast.stmt, value: ast.expr) -> Iterator[Found]:
        yield from self._whole(statement, value)
        for node in tops(value):
            yield from self._terms(node)
            yield from self._factors(node)
        for node in places(value):
            match node:
                case ast.BinOp(op=ast.MatMult()):
                    yield from self._product(node)
                case ast.Call():
                    yield from self.in_call(node)
        yield from self._operands(statement, value)

    def _whole(self, statement: ast.stmt, value: ast.expr) -> Iterator[Found]:
        if is_filling(value) or (isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Mult | ast.Div)):
            return
        yield "sign turned", value, negated(value), "the sign of the whole"
        _, parts = factors(value)
        numbers = [(p.value if up else 1 / p.value) for p, up in parts if isinstance(p, ast.Constant) and p.value]
        # Half of 2 * x is x, which is a missing factor as well.
        factor = self.random.choice([f for f in (2.0, 0.5) if 1 / f not in numbers] or [4.0])
        yield "scaled", value, product(1, [(ast.Constant(factor), True), (value, True)]), f"times {factor}"

    def _terms(self, node: ast.expr) -> Iterator[Found]:
        parts = terms(node)
        if len(parts) < 2:
            return
        at = self.random.randrange(len(parts))
        turned = [(e, -s if i == at else s) for i, (e, s) in enumerate(parts)]
        yield "sign turned", node, total(turned), f"the sign of {text(parts[at][0])}"
        # Of 1 - h**2 no term is a branch of the gradient: it is one local derivative; so is a difference that the
        # forward part has too, as out - y. Where all terms are other tensors, or carry a gradient, each is a path.
        paths = not any(self._is_scalar(e) for e, _ in parts) and text(node) not in self.sums
        for i, (term, _) in enumerate(parts):
            if paths or loaded(term) & self.carriers:
                kind = "maximum dropped" if loaded(term) & self.maxima else "term dropped"
                yield kind, node, total(parts[:i] + parts[i + 1 :]), f"without {text(term)}"

    def _factors(self, node: ast.expr) -> Iterator[Found]:
        sign, parts = factors(node)
        for i, (part, up) in enumerate(parts):
            rest = parts[:i] + parts[i + 1 :]
            without = product(sign, rest)
            what = f"without {text(part)}"
            if self._is_count(part):
                if not up:
                    yield "n dropped", node, without, what
                fewer = ast.BinOp(part, ast.Sub(), ast.Constant(1))
                changed = product(sign, [*parts[:i], (fewer, up), *parts[i + 1 :]])
                yield "n - 1 for n", node, changed, f"{text(fewer)} for {text(part)}"
            elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub) and self._is_count(part.left):
                more = product(sign, [*parts[:i], (part.left, up), *parts[i + 1 :]])
                yield "n for n - 1", node, more, f"{text(part.left)} for {text(part)}"
            elif len(parts) == 1 or is_filling(part) or (isinstance(part, ast.Constant) and part.value == 1):
                continue
            elif self._is_scalar(part):
                yield "constant dropped", node, without, what
            elif not all(self._is_scalar(other) for other, _ in rest):
                yield "factor dropped", node, without, what

    def _product(self, node: ast.BinOp) -> Iterator[Found]:
        left, right = node.left, node.right
        flip = self._transpose
        ways = [(right, left), (flip(right), flip(left)), (flip(left), right), (left, flip(right))]
        for a, b in ways:
            new = ast.BinOp(a, ast.MatMult(), b)
            yield "transposed", node, new, f"{text(new)} for {text(node)}"

    def _transpose(self, node: ast.expr) -> ast.expr:
        match node:
            case (
                ast.Attribute(value=inner, attr="T" | "mT")
                | ast.Call(func=ast.Attribute(value=inner, attr="transpose" | "t"))
            ):
                return inner
        several = ".mT" in self.solved.source or ".transpose(" in self.solved.source
        return ast.Attribute(node, "mT" if several else "T", ast.Load())

    def in_call(self, node: ast.expr) -> Iterator[Found]:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("torch"), attr=method), args=[inner, *rest]):
                pass
            case ast.Call(func=ast.Attribute(value=inner, attr=method), args=rest):
                pass
            case _:
                return
        if method in IN_PLACE:
            plain = ast.Attribute(node.func.value, IN_PLACE[method], ast.Load())
            yield "+= made =", node.func, plain, "not accumulated"
        for word in node.keywords:
            if word.arg == "accumulate":
                yield "+= made =", word, ast.keyword("accumulate", ast.Constant(False)), "not accumulated"
        if method not in SUMMING:
            return
        words = {word.arg: word for word in node.keywords}
        axis = rest[0] if rest else words["dim"].value if "dim" in words else None
        if method == "mean":
            yield "mean made sum", node.func, ast.Attribute(node.func.value, "sum", ast.Load()), "sum for mean"
        if method == "sum":
            yield "sum dropped", node, inner, f"{text(inner)} not summed"
            if isinstance(axis, ast.Tuple) and len(axis.elts) > 1:
                for i in range(len(axis.elts)):
                    fewer = ast.Tuple(axis.elts[:i] + axis.elts[i + 1 :], ast.Load())
                    yield "sum dropped", axis, fewer, f"not summed along {text(axis.elts[i])}"
        number = axis and (axis.operand if isinstance(axis, ast.UnaryOp) else axis)
        if isinstance(number, ast.Constant) and isinstance(number.value, int):
            value = number.value if number is axis else -number.value
            others = [a for a in ((-1, -2, 0) if value < 0 else (0, 1, 2)[: max(2, value + 1)]) if a != value]
            for other in others:
                yield "axis changed", axis, ast.Constant(other), f"axis {other} for {value}"
        if "keepdim" in words:
            shorter = [word for word in node.keywords if word.arg != "keepdim"]
            yield "keepdim dropped", node, ast.Call(node.func, node.args, shorter), "keepdim left out"
        elif axis is not None and len(rest) < 2 and method in ("sum", "mean"):
            longer = [*node.keywords, ast.keyword("keepdim", ast.Constant(True))]
            yield "keepdim added", node, ast.Call(node.func, node.args, longer), "keepdim set"

    def _operands(self, statement: ast.stmt, value: ast.expr) -> Iterator[Found]:
        done = [n for n in self.solved.order if self._written(n) < statement.lineno]
        for node in operands(value):
            name = node.id
            if name in self.shapes:
                others = [o for o, shape in self.shapes.items() if shape == self.shapes[name]]
            elif self.solved.is_gradient(name):
                others = [o for o in done if self.shapes.get(o[1:]) == self.shapes.get(name[1:])]
            else:
                continue
            others = [o for o in others if o != name]
            for other in self.random.sample(others, min(2, len(others))):
                yield "other operand", node, ast.Name(other, ast.Load()), f"{other} for {name}"

    def _written(self, name: str) -> int:
        return max(s.lineno for s in self.statements if target(s) == name)

    def _is_count(self, node: ast.expr) -> bool:
        return is_count(node, self.counts)

    def _is_scalar(self, node: ast.expr) -> bool:
        return is_scalar(node, self.scalars)
