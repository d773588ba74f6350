"""Solved exercises written differently: the backward part rewritten in ways that keep its values.

Nothing of moreish is imported. Each rewriting may fail to fit (an einsum of two letters on three axes): whoever asks
passes a check, which runs the file, and what does not pass it is undone. The forward part stays as it is.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from formulas import MODULES, expression, is_filling, operands, places, terms, text
from solved import Solved, loaded, stored, swap, target

PATIENCE = 12
"""Rewritings tried, for each that is asked for."""


@dataclass(frozen=True)
class Variant:
    """A right file written differently."""

    source: str
    rewritings: tuple[str, ...]


Ways = Iterator[tuple[str, str]]
"""What a rewriting is called, and the formula it gives."""


def _of_formula(node: ast.expr) -> Ways:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            yield from _of_operator(left, op, right)
        case ast.UnaryOp(op=ast.USub(), operand=inner) if not isinstance(inner, ast.Constant):
            x = text(inner)
            yield from (("minus one times", f"-1.0 * ({x})"), ("nought minus", f"0.0 - ({x})"))
            yield "torch.neg", f"torch.neg({x})"
        case ast.Attribute(value=inner, attr="T"):
            x = text(inner)
            yield from ((way, f"({x}){way}") for way in (".transpose(0, 1)", ".t()", ".mT", ".permute(1, 0)"))
            yield ".T.contiguous()", f"({x}).T.contiguous()"
        case ast.Call(func=ast.Attribute(value=inner, attr=method), args=args, keywords=words):
            axis = text(args[0]) if args else ""
            if not (isinstance(inner, ast.Name) and inner.id in MODULES):
                keep = any(word.arg == "keepdim" for word in words)
                yield from _of_method(text(inner), method, axis, keep)
            elif is_filling(node) and method.endswith("s_like") and axis:
                x, kind = f"({axis})", method.removesuffix("_like")
                yield f"torch.{kind}(shape)", f"torch.{kind}({x}.shape, dtype={x}.dtype)"
                yield "full_like", f"torch.full_like({x}, {float(kind == 'ones')})"
        case ast.Call(func=ast.Name(id="range"), args=[count]):
            yield from (("arange", f"torch.arange({text(count)})"), ("list of range", f"list(range({text(count)}))"))


def _of_operator(left: ast.expr, op: ast.operator, right: ast.expr) -> Ways:
    a, b = f"({text(left)})", f"({text(right)})"
    match op:
        case ast.Mult():
            yield from (("commute *", f"{b} * {a}"), ("torch.mul", f"torch.mul({a}, {b})"), (".mul", f"{a}.mul({b})"))
            yield "divide by the inverse", f"{a} / (1.0 / {b})"
            match left, right:
                case ast.BinOp(left=c, op=ast.Mult(), right=d), _:
                    yield "reassociate *", f"({text(c)}) * (({text(d)}) * {b})"
                case _, ast.BinOp(left=c, op=ast.Mult(), right=d):
                    yield "reassociate *", f"({a} * ({text(c)})) * ({text(d)})"
                case ast.BinOp(left=c, op=ast.Add() | ast.Sub() as o, right=d), _:
                    yield "distribute", f"({text(c)}) * {b} {'+' if isinstance(o, ast.Add) else '-'} ({text(d)}) * {b}"
                case _, ast.BinOp(left=c, op=ast.Add() | ast.Sub() as o, right=d):
                    yield "distribute", f"{a} * ({text(c)}) {'+' if isinstance(o, ast.Add) else '-'} {a} * ({text(d)})"
                case ast.Call(), _ if is_filling(left) and "ones_like" in text(left):
                    like = text(left.args[0])
                    yield "expand", f"{b}.expand_as({like}).clone()"
                    yield "broadcast_to", f"torch.broadcast_to({b}, ({like}).shape).clone()"
        case ast.Add():
            yield from (("commute +", f"{b} + {a}"), ("torch.add", f"torch.add({a}, {b})"))
            yield "minus the negative", f"{a} - (-{b})"
        case ast.Sub():
            yield from (("plus the negative", f"{a} + -1.0 * {b}"), ("turned difference", f"-({b} - {a})"))
            yield "torch.sub", f"torch.sub({a}, {b})"
        case ast.Div():
            yield from (("times the inverse", f"{a} * (1.0 / {b})"), ("times ** -1", f"{a} * {b} ** -1.0"))
            yield from (("torch.div", f"torch.div({a}, {b})"), ("float()", f"{a} / float({b})"))
        case ast.Pow():
            whole = text(right)
            if whole == "2":
                yield from (("x * x", f"{a} * {a}"), (".square()", f"{a}.square()"))
            elif whole == "3":
                yield "x * x * x", f"{a} * {a} * {a}"
            elif whole == "-1":
                yield from (("1 / x", f"1.0 / {a}"), (".reciprocal()", f"{a}.reciprocal()"))
            elif whole in ("-1.5", "0.5", "-0.5"):
                roots = {"-1.5": f"1.0 / ({a} * {a}.sqrt())", "0.5": f"{a}.sqrt()", "-0.5": f"{a}.rsqrt()"}
                yield "by the root", roots[whole]
            yield "torch.pow", f"torch.pow({a}, {whole})"
        case ast.MatMult():
            yield from (("torch.matmul", f"torch.matmul({a}, {b})"), (".matmul", f"{a}.matmul({b})"))
            yield "einsum product", f"torch.einsum('...ij,...jk->...ik', {a}, {b})"
            yield "(b.T @ a.T).T", f"({b}.mT @ {a}.mT).mT"
            yield "product by sums", f"({a}[..., :, :, None] * {b}[..., None, :, :]).sum(-2)"
            if isinstance(left, ast.Attribute) and left.attr == "T":
                yield "einsum of the transposed", f"torch.einsum('ki,kj->ij', {text(left.value)}, {b})"
                outer = f"torch.outer(row, other) for row, other in zip({text(left.value)}, {b})"
                yield "sum of outer products", f"sum({outer})"


def _of_method(x: str, method: str, axis: str, keep: bool) -> Ways:
    if method == "sum" and axis in ("0", "1", "-1") and "," not in axis:
        more = ", keepdim=True" if keep else ""
        last = f".unsqueeze({axis})" if keep else ""
        yield "torch.sum", f"torch.sum({x}, dim={axis}{more})"
        yield "mean times n", f"({x}).mean({axis}{more}) * ({x}).shape[{axis}]"
        letters = {"0": "i...->...", "1": "ij...->i...", "-1": "...i->..."}
        yield "einsum sum", f"torch.einsum('{letters[axis]}', {x}){last}"
        if keep:
            yield from (
                ("unsqueeze", f"({x}).sum({axis}){last}"),
                ("stacked sums", f"torch.stack([({x}).sum({axis})], {axis})"),
            )
        if axis == "0":
            yield "ones @ x", f"(torch.ones(1, ({x}).shape[0], dtype=({x}).dtype) @ ({x})){'' if keep else '[0]'}"
            yield "loop over rows", f"sum(row for row in ({x})){last}"
        if axis in ("1", "-1"):
            yield "x @ ones", f"(({x}) @ torch.ones(({x}).shape[1], dtype=({x}).dtype)){last}"
            yield "row by row", f"torch.stack([row.sum(0) for row in ({x})]){last}"
    elif method == "mean" and axis:
        yield "sum over n", f"({x}).sum({axis}{', keepdim=True' if keep else ''}) / ({x}).shape[{axis}]"
    elif method in ("exp", "log", "sqrt", "tanh", "sigmoid") and not axis:
        yield f"torch.{method}", f"torch.{method}({x})"
    elif method == "clone":
        yield from (("plus nought", f"({x}) + 0.0"), ("times one", f"1.0 * ({x})"))
    elif method == "transpose":
        yield ".mT", f"({x}).mT"


class _Rewriter:
    """Holds a backward part as it is so far, and rewrites one place of it at a time."""

    def __init__(self, solved: Solved, chance: random.Random) -> None:
        self.solved, self.random, self.made = solved, chance, 0
        lines = solved.source.splitlines()
        self.head = lines[: solved.backward[0].lineno - 1]
        self.indent = " " * solved.backward[0].col_offset
        single = [s for s in solved.forward if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)]
        self.forward = {target(s): s.value for s in single if sum(target(s) == target(o) for o in single) == 1}

    def source(self, body: list[ast.stmt]) -> str:
        """The file with this backward part."""
        written = "\n".join(ast.unparse(statement) for statement in body)
        return "\n".join([*self.head, *(self.indent + line for line in written.splitlines())]) + "\n"

    def once(self, body: list[ast.stmt]) -> tuple[str, list[ast.stmt]]:
        """One rewriting, chosen by chance."""
        ways: dict[str, list[tuple[int, str | list[ast.stmt]]]] = {}
        for at, statement in enumerate(body):
            for name, new in [*self._of_formulas(statement), *self._of_statements(body, at)]:
                ways.setdefault(name, []).append((at, new))
        # First the kind, then the place, so that what fits everywhere (commuting) does not crowd out the rest.
        name = self.random.choice(sorted(ways))
        at, new = self.random.choice(ways[name])
        return name, [*body[:at], *ast.parse(new).body, *body[at + 1 :]] if isinstance(new, str) else new

    def _of_formulas(self, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        for node in ast.walk(statement):
            if not isinstance(node, ast.expr) or isinstance(getattr(node, "ctx", None), ast.Store):
                continue
            for name, new in _of_formula(node):
                yield name, text(swap(statement, node, expression(new)))
        if not isinstance(statement, ast.Assign | ast.AugAssign):
            return
        for name in operands(statement.value):
            if name.id in self.forward and len(text(self.forward[name.id])) < 60:
                yield "recompute", text(swap(statement, name, self.forward[name.id]))
        for node in places(statement.value):
            self.made += 1
            if isinstance(node, ast.BinOp | ast.Call) and not is_filling(node):
                part = text(swap(statement, node, ast.Name(f"part{self.made}", ast.Load())))
                yield "temporary", f"part{self.made} = {text(node)}\n{part}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
                call = text(
                    swap(statement, node, expression(f"product{self.made}({text(node.left)}, {text(node.right)})"))
                )
                yield "function", f"def product{self.made}(a, b):\n    return a * b\n{call}"

    def _of_statements(self, body: list[ast.stmt], at: int) -> Iterator[tuple[str, str | list[ast.stmt]]]:
        statement = body[at]
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield from self._of_assignment(name, value)
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=[rows, columns]))], value=v
            ):
                yield from self._of_places(name, text(rows), text(columns), text(v))
            case ast.AugAssign(target=place, op=op, value=value):
                x, sign = text(place), {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}[type(op)]
                yield "written out", f"{x} = {x} {sign} ({text(value)})"
                method = {"+": "add_", "-": "sub_", "*": "mul_", "/": "div_"}[sign]
                yield "in place", f"{x}.{method}({text(value)})"
        if isinstance(statement, ast.Assign | ast.AugAssign):
            yield "no_grad", f"with torch.no_grad():\n    {text(statement)}"
            yield from self._of_neighbours(body, at)

    def _of_assignment(self, name: str, value: ast.expr) -> Iterator[tuple[str, str]]:
        parts = terms(value)
        if len(parts) > 1:
            (last, sign) = parts[-1]
            first = text(value.left) if isinstance(value, ast.BinOp) else ""
            yield "split a sum", f"{name} = ({first}).clone()\n{name} {'+' if sign > 0 else '-'}= {text(last)}"
            yield (
                "sum by stack",
                f"{name} = torch.stack([{', '.join(f'({text(e)}) * {s}.0' for e, s in parts)}]).sum(0)",
            )
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.Div):
            sign = "*" if isinstance(value.op, ast.Mult) else "/"
            yield "product in place", f"{name} = ({text(value.left)}).clone()\n{name} {sign}= {text(value.right)}"
        if not is_filling(value):
            yield "filled", f"{name} = torch.zeros_like({name[1:]})\n{name} += {text(value)}"
            yield "filled in", f"{name} = torch.empty_like({name[1:]})\n{name}[...] = {text(value)}"
        yield "annotated", f"{name}: torch.Tensor = {text(value)}"

    def _of_places(self, name: str, rows: str, columns: str, value: str) -> Iterator[tuple[str, str]]:
        at = f"torch.arange({name}.shape[0])"
        yield "row by row", f"for row in {rows}:\n    {name}[row, {columns}[row]] = {value}"
        yield "scatter", f"{name}.scatter_({name}.ndim - 1, {columns}[:, None], {value})"
        yield "one-hot", f"{name} = {name} + torch.eye({name}.shape[1], dtype={name}.dtype)[{columns}] * ({value})"
        yield "index_put", f"{name}.index_put_(({at}, {columns}), torch.tensor({value}, dtype={name}.dtype))"

    def _of_neighbours(self, body: list[ast.stmt], at: int) -> Iterator[tuple[str, list[ast.stmt]]]:
        first, second = body[at], body[at + 1] if at + 1 < len(body) else None
        if not isinstance(second, ast.Assign | ast.AugAssign):
            return
        touched = {target(first)} | stored(first)
        if not touched & (loaded(second) | {target(second)}) and target(second) not in loaded(first):
            yield "reorder", [*body[:at], second, first, *body[at + 2 :]]
            if all(isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) for s in (first, second)):
                both = f"{target(first)}, {target(second)} = {text(first.value)}, {text(second.value)}"
                yield "two at once", [*body[:at], *ast.parse(both).body, *body[at + 2 :]]
        match first, second:
            case ast.Assign(targets=[ast.Name(id=a)]), ast.AugAssign(target=ast.Name(id=b), op=ast.Add()) if a == b:
                joined = ast.parse(f"{a} = ({text(first.value)}) + ({text(second.value)})").body
                yield "join a sum", [*body[:at], *joined, *body[at + 2 :]]


def variant(solved: Solved, seed: int, wanted: int, is_right: Callable[[str], bool]) -> Variant | None:
    """A right file with so many rewritings of the solved one, or as many as were found; None where none was found."""
    rewriter = _Rewriter(solved, random.Random(seed))
    body, done = list(solved.backward), []
    for _ in range(PATIENCE * wanted):
        if len(done) == wanted:
            break
        name, new = rewriter.once(body)
        source = rewriter.source(new)
        if source != rewriter.source(body) and is_right(source):
            body, done = Solved.read(source).backward, [*done, name]
    return Variant(rewriter.source(body), tuple(done)) if done else None
