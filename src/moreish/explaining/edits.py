"""Small changes to a statement, each with what it would say about a mistake.

The same changes are made in two directions. To the learner's statement they are *repairs*: where one makes the value
right, the mistake is what it took back. To the solution's statement they are *damages*: where one gives the learner's
value, the mistake is what it did. Nothing is concluded from a change but what the numbers then confirm.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

REDUCTIONS = {"sum", "mean", "amax", "amin", "max", "min", "var", "std", "logsumexp", "prod", "norm"}
OVER_AN_AXIS = {*REDUCTIONS, "softmax", "log_softmax", "cumsum", "unsqueeze", "squeeze", "argmax", "flip"}
AXES = (0, 1, 2, -1)
SWAPS = {"sin": ("cos",), "cos": ("sin",), "exp": ("log",), "tanh": ("sigmoid",), "sigmoid": ("tanh",)}
KINDS = ("float", "int")


@dataclass(frozen=True)
class Names:
    """What the names in a statement stand for: numbers that count something, tensors, and derivatives."""

    counts: tuple[str, ...]
    tensors: tuple[str, ...]
    factors: tuple[ast.expr, ...] = ()
    """Factors of the solution's own formulas."""


Change = tuple[ast.expr, str]
"""What stands in place of an expression, and a few words for the learner on what was there."""
Edit = Callable[[ast.expr, Names], Iterator[Change]]


def edited(statement: ast.stmt, edit: Edit, names: Names) -> Iterator[tuple[ast.stmt, str]]:
    """Every statement that one change by `edit` makes of this one, with its words."""
    for target in ast.walk(statement):
        if isinstance(target, ast.BinOp) and isinstance(target.op, ast.Pow):
            for each in ast.walk(target.right):  # seen before it is reached itself
                each.exponent = True  # type: ignore[attr-defined]
        if isinstance(target, ast.expr) and not isinstance(getattr(target, "ctx", None), ast.Store):
            for new, words in edit(target, names):
                yield replaced(statement, target, new), words  # type: ignore[misc]


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


def signs(e: ast.expr, names: Names) -> Iterator[Change]:
    """Plus for minus, a minus more or less."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Add, ast.Sub)):
        flipped = ast.Sub() if isinstance(e.op, ast.Add) else ast.Add()
        yield ast.BinOp(e.left, flipped, e.right), f"the sign before `{_short(e.right)}`"
        yield ast.BinOp(ast.UnaryOp(ast.USub(), e.left), e.op, e.right), f"the sign of `{_short(e.left)}`"
    elif isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        yield e.operand, f"the sign of `{_short(e.operand)}`"
    elif isinstance(e, (ast.Name, ast.Call)):
        yield ast.UnaryOp(ast.USub(), e), f"the sign of `{_short(e)}`"


def keepdims(e: ast.expr, names: Names) -> Iterator[Change]:
    """`keepdim=True` where there was none."""
    if _reduces(e) and _axis(e) is not None and not _keyword(e, "keepdim"):
        yield _with_keyword(e, "keepdim", ast.Constant(True)), f"keepdim=True in `{_short(e)}`"


def unsqueezes(e: ast.expr, names: Names) -> Iterator[Change]:
    """An axis of size 1 where there was none."""
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp)):
        for axis in AXES:
            yield _method(e, "unsqueeze", axis), f"an axis of size 1 (unsqueeze({axis})) at `{_short(e)}`"


def no_keepdims(e: ast.expr, names: Names) -> Iterator[Change]:
    """No `keepdim=True` where there was one."""
    if _reduces(e) and _keyword(e, "keepdim"):
        yield _without_keyword(e, "keepdim"), f"keepdim=True in `{_short(e)}`"


def axes(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another axis, one for all of them, or all for one."""
    if not (isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in OVER_AN_AXIS):
        return
    where = _axis(e)
    others: tuple[int | tuple[int, ...], ...] = (*AXES, (0, 1), (0, 2), (1, 2)) if _reduces(e) else AXES
    for axis in others:
        words = f"the axis in `{_short(e)}`: {axis}"
        new = ast.parse(repr(axis), mode="eval").body
        if where is None:
            if _reduces(e):
                with_axis = ast.Call(e.func, [*e.args, new], e.keywords)
                yield with_axis, words
                yield _with_keyword(with_axis, "keepdim", ast.Constant(True)), words
        elif ast.dump(where) != ast.dump(new):
            yield replaced(e, where, new), words  # type: ignore[misc]


def sums(e: ast.expr, names: Names) -> Iterator[Change]:
    """A sum over an axis that was not summed over."""
    if isinstance(e, (ast.BinOp, ast.Name, ast.Call)):
        for axis in (0, 1, 2, (0, 1), (0, 2), (1, 2)):
            for keep in (True, False):
                new = _method(e, "sum", axis)
                words = f"sum({axis}{', keepdim=True' if keep else ''}) of `{_short(e)}`"
                yield (_with_keyword(new, "keepdim", ast.Constant(True)) if keep else new), words


def no_sums(e: ast.expr, names: Names) -> Iterator[Change]:
    """What a sum was taken of, without it."""
    if isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr == "sum":
        yield e.func.value, f"{_short(ast.Call(ast.Name('sum'), e.args, e.keywords))}"


def transposes(e: ast.expr, names: Names) -> Iterator[Change]:
    """A product with a factor transposed, not transposed, or its factors exchanged."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.MatMult):
        for left in (e.left, _transposed(e.left)):
            for right in (e.right, _transposed(e.right)):
                for a, b in ((left, right), (right, left)):
                    yield ast.BinOp(a, ast.MatMult(), b), f"a transpose, or the order, in `{_short(e)}`"
        yield _transposed(e), f"a transpose of `{_short(e)}`"
    elif isinstance(e, ast.Attribute) and e.attr in ("T", "mT"):
        yield e.value, f"a transpose too many at `{_short(e)}`"
    elif isinstance(e, ast.Name) and e.id in names.tensors:
        yield _transposed(e), f"a transpose of `{e.id}`"


def one_less(e: ast.expr, names: Names) -> Iterator[Change]:
    """n - 1 in place of n."""
    if _is_count(e, names):
        yield ast.BinOp(e, ast.Sub(), ast.Constant(1)), f"`{_short(e)}`"


def one_more(e: ast.expr, names: Names) -> Iterator[Change]:
    """n in place of n - 1."""
    if (isinstance(e, ast.BinOp) and isinstance(e.op, ast.Sub) and isinstance(e.right, ast.Constant)
            and e.right.value == 1 and _is_count(e.left, names)):  # fmt: skip
        yield e.left, f"`{_short(e)}`"


def means(e: ast.expr, names: Names) -> Iterator[Change]:
    """The mean for the sum, or a division by a count."""
    if _reduces(e) and e.func.attr == "sum":  # type: ignore[attr-defined]
        yield _renamed(e, "mean"), f"a mean in place of `{_short(e)}`"
    if isinstance(e, (ast.BinOp, ast.Call, ast.Name)):
        for name in names.counts:
            yield ast.BinOp(e, ast.Div(), ast.Name(name, ast.Load())), f"a division by {name} of `{_short(e)}`"


def no_means(e: ast.expr, names: Names) -> Iterator[Change]:
    """The sum for the mean, or no division by a count."""
    if _reduces(e) and e.func.attr == "mean":  # type: ignore[attr-defined]
        yield _renamed(e, "sum"), f"a mean where the sum is meant: `{_short(e)}`"
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Div) and _is_count(e.right, names):
        yield e.left, f"the division by {_short(e.right)}"


def constants(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another number, or one number less among the factors."""
    if isinstance(e, ast.Constant) and type(e.value).__name__ in KINDS and not hasattr(e, "exponent"):
        for value in (2 * e.value, e.value / 2, 3 * e.value, e.value / 3, 1 / e.value if e.value else 1):  # type: ignore[operator]
            yield ast.Constant(value), f"the number {e.value}"
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div)):
        if isinstance(e.right, ast.Constant):
            yield e.left, f"the factor {_short(e.right)}"
        if isinstance(e.left, ast.Constant) and isinstance(e.op, ast.Mult):
            yield e.right, f"the factor {_short(e.left)}"


def powers(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another exponent; what was raised, plainly."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow):
        yield e.left, f"the exponent of `{_short(e.left)}`"
        for by in (1, -1):
            more = ast.BinOp(e.right, ast.Add(), ast.Constant(by))
            yield ast.BinOp(e.left, ast.Pow(), more), f"the exponent of `{_short(e.left)}`"
    elif isinstance(e, ast.Name) and e.id in names.tensors:
        yield ast.BinOp(e, ast.Pow(), ast.Constant(2)), f"the exponent of `{e.id}`"


def fewer_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """A product without one of its factors."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div)):
        yield e.left, f"`{_short(e.right)}`"
        if isinstance(e.op, ast.Mult):
            yield e.right, f"`{_short(e.left)}`"
        else:
            yield ast.BinOp(ast.Constant(1.0), ast.Div(), e.right), f"`{_short(e.left)}`"


def fewer_terms(e: ast.expr, names: Names) -> Iterator[Change]:
    """A sum without one of its terms."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Add, ast.Sub)):
        yield e.left, f"`{_short(e.right)}`"
        yield (e.right if isinstance(e.op, ast.Add) else ast.UnaryOp(ast.USub(), e.right)), f"`{_short(e.left)}`"


def more_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """One of the solution's factors more."""
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp, ast.Subscript, ast.Constant, ast.Attribute)):
        for factor in names.factors:
            yield ast.BinOp(e, ast.Mult(), factor), f"the factor `{_short(factor)}`"
            yield ast.BinOp(e, ast.Div(), factor), f"the divisor `{_short(factor)}`"


def any_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """A tensor more among the factors."""
    return more_factors(e, Names((), (), tuple(ast.Name(name, ast.Load()) for name in names.tensors)))


def operands(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another name, the other way of a division, a neighbouring function."""
    if isinstance(e, ast.Name) and e.id not in ("torch", "F"):
        for name in names.counts if e.id in names.counts else names.tensors:
            if name != e.id:
                yield ast.Name(name, ast.Load()), f"`{e.id}`"
    elif isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div, ast.Pow)):
        if not isinstance(e.op, ast.Mult):
            yield ast.BinOp(e.right, e.op, e.left), f"`{_short(e)}`, the wrong way round"
        if not isinstance(e.op, ast.Pow):
            other, words = (ast.Div(), "times") if isinstance(e.op, ast.Mult) else (ast.Mult(), "divided by")
            yield ast.BinOp(e.left, other, e.right), f"{words} `{_short(e.right)}`"
    elif isinstance(e, ast.Compare) and len(e.ops) == 1 and isinstance(e.ops[0], (ast.Gt, ast.Lt, ast.GtE, ast.LtE)):
        other = ast.Lt() if isinstance(e.ops[0], (ast.Gt, ast.GtE)) else ast.Gt()
        yield ast.Compare(e.left, [other], e.comparators), f"`{_short(e)}`, the wrong way round"
    elif isinstance(e, ast.Attribute) and e.attr in SWAPS:
        for name in SWAPS[e.attr]:
            yield ast.Attribute(e.value, name, e.ctx), f"`{e.attr}`"


def negated(e: ast.expr, names: Names) -> Iterator[Change]:
    """The opposite sign of anything."""
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp, ast.Constant)):
        yield ast.UnaryOp(ast.USub(), e), f"the sign of `{_short(e)}`"


def factors_of(statements: list[ast.stmt]) -> tuple[ast.expr, ...]:
    """The factors and divisors that stand in statements, each once."""
    found = {}
    for statement in statements:
        for each in ast.walk(statement):
            if isinstance(each, ast.BinOp) and isinstance(each.op, (ast.Mult, ast.Div)):
                found.update({ast.dump(side): side for side in (each.left, each.right)})
    return tuple(found.values())


def _reduces(e: ast.expr) -> bool:
    return isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in REDUCTIONS


def _axis(e: ast.expr) -> ast.expr | None:
    """Where a call says its axis: `x.sum(0)`, `torch.sum(x, 0)`, `x.sum(dim=0)`."""
    assert isinstance(e, ast.Call)
    for keyword in e.keywords:
        if keyword.arg in ("dim", "axis"):
            return keyword.value
    for each in e.args:
        if _is_axis(each):
            return each
    return None


def _is_axis(e: ast.expr) -> bool:
    if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        e = e.operand
    if isinstance(e, (ast.Tuple, ast.List)):
        return all(map(_is_axis, e.elts))
    return isinstance(e, ast.Constant) and type(e.value) is int


def _keyword(e: ast.expr, name: str) -> bool:
    assert isinstance(e, ast.Call)
    return any(each.arg == name for each in e.keywords)


def _with_keyword(e: ast.expr, name: str, value: ast.expr) -> ast.expr:
    assert isinstance(e, ast.Call)
    return ast.Call(e.func, e.args, [*(k for k in e.keywords if k.arg != name), ast.keyword(name, value)])


def _without_keyword(e: ast.expr, name: str) -> ast.expr:
    assert isinstance(e, ast.Call)
    return ast.Call(e.func, e.args, [each for each in e.keywords if each.arg != name])


def _renamed(e: ast.expr, name: str) -> ast.expr:
    assert isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute)
    return ast.Call(ast.Attribute(e.func.value, name, ast.Load()), e.args, e.keywords)


def _method(e: ast.expr, name: str, argument: object) -> ast.expr:
    return ast.Call(ast.Attribute(e, name, ast.Load()), [ast.parse(repr(argument), mode="eval").body], [])


def _transposed(e: ast.expr) -> ast.expr:
    """`x.mT`, which is `x.T` for matrices; `x` for `x.T`."""
    if isinstance(e, ast.Attribute) and e.attr in ("T", "mT"):
        return e.value
    if isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in ("t", "transpose"):
        return e.func.value
    return ast.Attribute(e, "mT", ast.Load())


def _is_count(e: ast.expr, names: Names) -> bool:
    if isinstance(e, ast.Name):
        return e.id in names.counts
    if isinstance(e, ast.Subscript):
        return isinstance(e.value, ast.Attribute) and e.value.attr == "shape"
    if isinstance(e, ast.Call):
        return (isinstance(e.func, ast.Name) and e.func.id == "len") or (
            isinstance(e.func, ast.Attribute) and e.func.attr in ("size", "numel", "nelement")
        )
    return False


def _short(e: ast.expr, width: int = 40) -> str:
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(e)))
    return text if len(text) <= width else text[: width - 1] + "…"
