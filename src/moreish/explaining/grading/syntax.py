"""Expressions of a tree: what kind they are, and new ones made of them."""

from __future__ import annotations

import ast
import copy

REDUCTIONS = {"sum", "mean", "amax", "amin", "max", "min", "var", "std", "logsumexp", "prod", "norm"}


def replaced(node: ast.AST, target: ast.AST, new: ast.AST) -> ast.AST:
    """A copy of a tree with one of its nodes exchanged; what did not change is shared."""
    if node is target:
        return new
    fresh = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            setattr(fresh, name, replaced(value, target, new))
        elif isinstance(value, list):
            setattr(fresh, name, [replaced(v, target, new) if isinstance(v, ast.AST) else v for v in value])
    return fresh


def reduces(e: ast.expr) -> bool:
    """Whether an expression is a call of a reduction, such as `x.sum(0)`."""
    return isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in REDUCTIONS


def axis_of(e: ast.expr) -> ast.expr | None:
    """Where a call says its axis: `x.sum(0)`, `torch.sum(x, 0)`, `x.sum(dim=0)`."""
    assert isinstance(e, ast.Call)
    for keyword in e.keywords:
        if keyword.arg in ("dim", "axis"):
            return keyword.value
    for each in e.args:
        if is_axis(each):
            return each
    return None


def is_axis(e: ast.expr) -> bool:
    """Whether an expression is a whole number, or several."""
    if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        e = e.operand
    if isinstance(e, (ast.Tuple, ast.List)):
        return all(map(is_axis, e.elts))
    return isinstance(e, ast.Constant) and type(e.value) is int


def has_keyword(e: ast.expr, name: str) -> bool:
    """Whether a call has a keyword."""
    assert isinstance(e, ast.Call)
    return any(each.arg == name for each in e.keywords)


def with_keyword(e: ast.expr, name: str, value: ast.expr) -> ast.expr:
    """A call with a keyword more."""
    assert isinstance(e, ast.Call)
    return ast.Call(e.func, e.args, [*(k for k in e.keywords if k.arg != name), ast.keyword(name, value)])


def without_keyword(e: ast.expr, name: str) -> ast.expr:
    """A call with a keyword less."""
    assert isinstance(e, ast.Call)
    return ast.Call(e.func, e.args, [each for each in e.keywords if each.arg != name])


def renamed(e: ast.expr, name: str) -> ast.expr:
    """A call of another method."""
    assert isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute)
    return ast.Call(ast.Attribute(e.func.value, name, ast.Load()), e.args, e.keywords)


def method_call(e: ast.expr, name: str, argument: object) -> ast.expr:
    """A method called with one argument."""
    return ast.Call(ast.Attribute(e, name, ast.Load()), [ast.parse(repr(argument), mode="eval").body], [])


def transposed(e: ast.expr) -> ast.expr:
    """`x.mT`, which is `x.T` for matrices; `x` for `x.T`."""
    if isinstance(e, ast.Attribute) and e.attr in ("T", "mT"):
        return e.value
    if isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in ("t", "transpose"):
        return e.func.value
    return ast.Attribute(e, "mT", ast.Load())


def is_count(e: ast.expr, counts: tuple[str, ...]) -> bool:
    """Whether an expression counts something: a name in `counts`, a size, a length."""
    if isinstance(e, ast.Name):
        return e.id in counts
    if isinstance(e, ast.Subscript):
        return isinstance(e.value, ast.Attribute) and e.value.attr == "shape"
    if isinstance(e, ast.Call):
        return (isinstance(e.func, ast.Name) and e.func.id == "len") or (
            isinstance(e.func, ast.Attribute) and e.func.attr in ("size", "numel", "nelement")
        )
    return False


def short(e: ast.expr, width: int = 40) -> str:
    """An expression as text, cut to a width."""
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(e)))
    return text if len(text) <= width else text[: width - 1] + "…"
