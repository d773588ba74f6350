"""Formulas as syntax trees: sums and products taken apart and put together, and lines of a file replaced."""

from __future__ import annotations

import ast
from collections.abc import Iterator

LINEAR = {
    "sum", "mean", "unsqueeze", "squeeze", "view", "reshape", "transpose", "t", "permute", "expand", "expand_as",
    "clone", "contiguous", "flatten", "flip", "cumsum", "masked_fill", "to", "index_add_", "index_add", "scatter_add_",
    "where", "matmul", "outer", "einsum", "stack", "cat", "index_put_", "repeat", "mul", "pad", "roll",
}  # fmt: skip
"""Calls that pass a gradient on without changing its kind: what stands within them is still a part of a formula."""
FILLING = {"zeros_like", "ones_like", "zeros", "ones", "full", "full_like", "empty_like", "new_zeros", "one_hot"}
MODULES = {"torch", "F", "math", "nn", "np"}


def text(node: ast.AST) -> str:
    """As it would be written."""
    return ast.unparse(node)


def expression(source: str) -> ast.expr:
    """A formula, read."""
    return ast.parse(source, mode="eval").body


def is_filling(node: ast.AST) -> bool:
    """Whether it is a call such as zeros_like(x)."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and _called(node) in FILLING


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def terms(node: ast.expr) -> list[tuple[ast.expr, int]]:
    """A sum's terms, each with its sign; any other formula is one term."""
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            sign = 1 if isinstance(op, ast.Add) else -1
            return terms(left) + [(term, sign * s) for term, s in terms(right)]
    return [(node, 1)]


def total(parts: list[tuple[ast.expr, int]]) -> ast.expr:
    """The sum of terms with their signs."""
    (first, sign), *rest = parts
    found = first if sign > 0 else negated(first)
    for term, sign in rest:
        found = ast.BinOp(found, ast.Add() if sign > 0 else ast.Sub(), term)
    return found


def factors(node: ast.expr) -> tuple[int, list[tuple[ast.expr, bool]]]:
    """A product's sign, and its factors, each with whether it stands above the line."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            sign, parts = factors(inner)
            return -sign, parts
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            sign, above = factors(left)
            other, parts = factors(right)
            turn = isinstance(op, ast.Div)
            return sign * other, above + [(part, up != turn) for part, up in parts]
    return 1, [(node, True)]


def product(sign: int, parts: list[tuple[ast.expr, bool]]) -> ast.expr:
    """The product of factors with its sign."""
    above = [part for part, up in parts if up] or [ast.Constant(1.0)]
    found = above[0] if sign > 0 else ast.UnaryOp(ast.USub(), above[0])
    for part in above[1:]:
        found = ast.BinOp(found, ast.Mult(), part)
    for part in (part for part, up in parts if not up):
        found = ast.BinOp(found, ast.Div(), part)
    return found


def negated(node: ast.expr) -> ast.expr:
    """Its negative, without two signs in a row."""
    sign, parts = factors(node)
    return product(-sign, parts)


def places(node: ast.expr) -> Iterator[ast.expr]:
    """A formula and the formulas it is linear in, from the outside inwards: not exponents, indices or exp(...)."""
    yield node
    inner: list[ast.expr] = []
    match node:
        case ast.BinOp(left=left, op=ast.Pow() | ast.Div(), right=_):
            inner = [left] if isinstance(node.op, ast.Div) else []
        case ast.BinOp(left=left, right=right):
            inner = [left, right]
        case ast.UnaryOp(operand=operand):
            inner = [operand]
        case ast.Subscript(value=value) | ast.Attribute(value=value, attr="T" | "mT"):
            inner = [value]
        case ast.Call(func=ast.Attribute(value=value), args=arguments) if _called(node) in LINEAR:
            inner = [value]
            if isinstance(value, ast.Name) and value.id in MODULES:
                inner = [a for a in arguments if not isinstance(a, ast.Constant) and not is_scalar(a, set())]
    for part in inner:
        yield from places(part)


def tops(node: ast.expr) -> list[ast.expr]:
    """The formulas of `places` that are whole: not a term of the same sum, nor a factor of the same product."""
    found: list[ast.expr] = []
    inside: set[int] = set()
    for place in places(node):
        if id(place) in inside:
            continue
        found.append(place)
        inside |= {id(part) for part in _same(place)}
    return found


def _same(node: ast.expr) -> Iterator[ast.expr]:
    """The inner nodes of one sum, or of one product."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            inner = [part for part in (node.left, node.right) if _is(part, ast.Add | ast.Sub)]
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            inner = [part for part in (node.left, node.right) if _is(part, ast.Mult | ast.Div) or _is_minus(part)]
        case ast.UnaryOp(op=ast.USub()):
            inner = [node.operand] if _is(node.operand, ast.Mult | ast.Div) else []
        case _:
            inner = []
    for part in inner:
        yield part
        yield from _same(part)


def _is(node: ast.expr, kinds: type) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, kinds)


def _is_minus(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def operands(node: ast.AST) -> list[ast.Name]:
    """The names that a formula computes with: not those in indices, shapes, or after `_like(`."""
    if isinstance(node, ast.Name):
        return [node] if isinstance(node.ctx, ast.Load) and node.id not in MODULES else []
    if isinstance(node, ast.Attribute) and node.attr in ("shape", "dtype", "device"):
        return []
    if isinstance(node, ast.Call) and (is_filling(node) or _called(node) in ("size", "numel", "argmax", "range")):
        return []
    inner = [node.value] if isinstance(node, ast.Subscript) else list(ast.iter_child_nodes(node))
    return [name for part in inner for name in operands(part)]


def is_count(node: ast.AST, counts: set[str]) -> bool:
    """Whether it is a number of rows or entries, such as n or x.shape[0]."""
    match node:
        case ast.Name(id=name):
            return name in counts
        case ast.Subscript(value=ast.Attribute(attr="shape")):
            return True
        case ast.Call(func=ast.Attribute(attr="size" | "numel")) | ast.Call(func=ast.Name(id="len")):
            return True
    return False


def is_scalar(node: ast.AST, scalars: set[str]) -> bool:
    """Whether it is a plain number, by its looks."""
    match node:
        case ast.Constant(value=int() | float()):
            return True
        case ast.Name(id=name):
            return name in scalars
        case ast.UnaryOp(operand=inner):
            return is_scalar(inner, scalars)
        case ast.BinOp(left=left, right=right):
            return is_scalar(left, scalars) and is_scalar(right, scalars)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math")) | ast.Name(id="float" | "int")):
            return True
        case ast.Attribute(value=ast.Name(id="math")):
            return True
    return is_count(node, set())


def _assigned(statements: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for statement in (node for s in statements for node in ast.walk(s)):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Attribute(attr="shape") as shape):
                yield from ((n.id, ast.Subscript(shape, ast.Constant(0))) for n in names if isinstance(n, ast.Name))


def names_of_counts(statements: list[ast.stmt]) -> set[str]:
    """The variables that hold a number of rows or entries."""
    found: set[str] = set()
    for name, value in _assigned(statements):
        if is_count(value, found):
            found.add(name)
    return found


def names_of_scalars(statements: list[ast.stmt], counts: set[str]) -> set[str]:
    """The variables that hold a plain number."""
    found = set(counts)
    for name, value in _assigned(statements):
        if is_scalar(value, found):
            found.add(name)
    return found


def names_of_maxima(statements: list[ast.stmt]) -> set[str]:
    """The variables that hold a maximum."""
    return {
        name
        for name, value in _assigned(statements)
        if any(isinstance(n, ast.Attribute) and n.attr in ("max", "amax", "values") for n in ast.walk(value))
    }


def rewrite(source: str, edits: list[tuple[ast.stmt, list[ast.stmt]]]) -> str | None:
    """The file with statements replaced by others; None where a statement shares its lines with another."""
    lines = source.splitlines()
    for old, new in sorted(edits, key=lambda edit: -edit[0].lineno):
        assert old.end_lineno is not None
        first, last = old.lineno - 1, old.end_lineno
        if lines[first][: old.col_offset].strip() or ";" in "".join(lines[first:last]):
            return None
        written = "\n".join(ast.unparse(ast.fix_missing_locations(statement)) for statement in new)
        lines[first:last] = [" " * old.col_offset + line for line in written.splitlines()]
    return "\n".join(lines) + "\n"
