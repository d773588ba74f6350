"""Small changes to a statement, each with what it would say about a mistake.

The same changes are made in two directions. To the learner's statement they are *repairs*: where one makes the value
right, the mistake is what it took back. To the solution's statement they are *damages*: where one gives the learner's
value, the mistake is what it did. Nothing is concluded from a change but what the numbers then confirm.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moreish.explaining.grading.syntax import (
    REDUCTIONS,
    axis_of,
    has_keyword,
    is_count,
    method_call,
    reduces,
    renamed,
    replaced,
    short,
    transposed,
    with_keyword,
    without_keyword,
)

OVER_AN_AXIS = {*REDUCTIONS, "softmax", "log_softmax", "cumsum", "unsqueeze", "squeeze", "argmax", "flip"}
AXES = (0, 1, 2, -1)
SWAPS = {"sin": ("cos",), "cos": ("sin",), "exp": ("log",), "tanh": ("sigmoid",), "sigmoid": ("tanh",)}
KINDS = ("float", "int")


@dataclass(frozen=True)
class Names:
    """What the names in a statement stand for: numbers that count something, tensors of decimals with derivatives."""

    counts: tuple[str, ...]
    tensors: tuple[str, ...]
    factors: tuple[ast.expr, ...] = ()
    """Factors of the solution's own formulas."""
    known: tuple[str, ...] = ()
    """Every number, tensor and derivative, targets and masks too."""


Change = tuple[ast.expr, str]
"""What stands in place of an expression, and a few words for the learner on what was there."""
Edit = Callable[[ast.expr, Names], Iterator[Change]]


def edited(statement: ast.stmt, edit: Edit, names: Names) -> Iterator[tuple[ast.stmt, str]]:
    """Every statement that one change by `edit` makes of this one, with its words."""
    for target in ast.walk(statement):
        if isinstance(target, ast.BinOp) and isinstance(target.op, ast.Pow):
            for each in ast.walk(target.right):  # marked before it is reached itself
                each.exponent = True  # type: ignore[attr-defined]
            for each in ast.walk(target.left):
                each.raised = True  # type: ignore[attr-defined]
        if isinstance(target, ast.expr) and not isinstance(getattr(target, "ctx", None), ast.Store):
            for new, words in edit(target, names):
                yield replaced(statement, target, new), words  # type: ignore[misc]


def signs(e: ast.expr, names: Names) -> Iterator[Change]:
    """Plus for minus, a minus more or less; not in an exponent, where it would be a division."""
    if hasattr(e, "exponent"):
        return
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Add, ast.Sub)):
        flipped = ast.Sub() if isinstance(e.op, ast.Add) else ast.Add()
        yield ast.BinOp(e.left, flipped, e.right), f"the sign before `{short(e.right)}`"
        yield ast.BinOp(ast.UnaryOp(ast.USub(), e.left), e.op, e.right), f"the sign of `{short(e.left)}`"
    elif isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        yield e.operand, f"the sign of `{short(e.operand)}`"
    elif isinstance(e, (ast.Name, ast.Call)):
        yield ast.UnaryOp(ast.USub(), e), f"the sign of `{short(e)}`"


def exponent_signs(e: ast.expr, names: Names) -> Iterator[Change]:
    """An exponent without its minus."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow) and isinstance(e.right, ast.UnaryOp):
        yield ast.BinOp(e.left, ast.Pow(), e.right.operand), f"that of the exponent of `{short(e.left)}`"


def keepdims(e: ast.expr, names: Names) -> Iterator[Change]:
    """`keepdim=True` where there was none."""
    if reduces(e) and axis_of(e) is not None and not has_keyword(e, "keepdim"):
        yield with_keyword(e, "keepdim", ast.Constant(True)), f"keepdim=True in `{short(e)}`"


def unsqueezes(e: ast.expr, names: Names) -> Iterator[Change]:
    """An axis of size 1 where there was none."""
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp)):
        for axis in AXES:
            yield method_call(e, "unsqueeze", axis), f"an axis of size 1 (unsqueeze({axis})) at `{short(e)}`"


def no_keepdims(e: ast.expr, names: Names) -> Iterator[Change]:
    """No `keepdim=True` where there was one."""
    if reduces(e) and has_keyword(e, "keepdim"):
        yield without_keyword(e, "keepdim"), f"keepdim=True in `{short(e)}`"


def axes(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another axis, one for all of them, or all for one."""
    if not (isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr in OVER_AN_AXIS):
        return
    where = axis_of(e)
    others: tuple[int | tuple[int, ...], ...] = (*AXES, (0, 1), (0, 2), (1, 2)) if reduces(e) else AXES
    for axis in others:
        words = f"the axis in `{short(e)}`: {axis}"
        new = ast.parse(repr(axis), mode="eval").body
        if where is None:
            if reduces(e):
                with_axis = ast.Call(e.func, [*e.args, new], e.keywords)
                yield with_axis, words
                yield with_keyword(with_axis, "keepdim", ast.Constant(True)), words
        elif ast.dump(where) != ast.dump(new):
            yield replaced(e, where, new), words  # type: ignore[misc]


def sums(e: ast.expr, names: Names) -> Iterator[Change]:
    """A sum over an axis that was not summed over."""
    if isinstance(e, (ast.BinOp, ast.Name, ast.Call)):
        for axis in (0, 1, 2, (0, 1), (0, 2), (1, 2)):
            for keep in (True, False):
                new = method_call(e, "sum", axis)
                words = f"sum({axis}{', keepdim=True' if keep else ''}) of `{short(e)}`"
                yield (with_keyword(new, "keepdim", ast.Constant(True)) if keep else new), words


def no_sums(e: ast.expr, names: Names) -> Iterator[Change]:
    """What a sum was taken of, without it."""
    if isinstance(e, ast.Call) and isinstance(e.func, ast.Attribute) and e.func.attr == "sum":
        yield e.func.value, f"{short(ast.Call(ast.Name('sum'), e.args, e.keywords))}"


def transposes(e: ast.expr, names: Names) -> Iterator[Change]:
    """A product with a factor transposed, not transposed, or its factors exchanged."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.MatMult):
        for left in (e.left, transposed(e.left)):
            for right in (e.right, transposed(e.right)):
                for a, b in ((left, right), (right, left)):
                    yield ast.BinOp(a, ast.MatMult(), b), f"a transpose, or the order, in `{short(e)}`"
        yield transposed(e), f"a transpose of `{short(e)}`"
    elif isinstance(e, ast.Attribute) and e.attr in ("T", "mT"):
        yield e.value, f"a transpose too many at `{short(e)}`"
    elif isinstance(e, ast.Name) and e.id in names.tensors:
        yield transposed(e), f"a transpose of `{e.id}`"


def one_less(e: ast.expr, names: Names) -> Iterator[Change]:
    """n - 1 in place of n."""
    if is_count(e, names.counts):
        yield ast.BinOp(e, ast.Sub(), ast.Constant(1)), f"`{short(e)}`"


def one_more(e: ast.expr, names: Names) -> Iterator[Change]:
    """n in place of n - 1."""
    if (isinstance(e, ast.BinOp) and isinstance(e.op, ast.Sub) and isinstance(e.right, ast.Constant)
            and e.right.value == 1 and is_count(e.left, names.counts)):  # fmt: skip
        yield e.left, f"`{short(e)}`"


def means(e: ast.expr, names: Names) -> Iterator[Change]:
    """The mean for the sum, or a division by a count."""
    if reduces(e) and e.func.attr == "sum":  # type: ignore[attr-defined]
        yield renamed(e, "mean"), f"a mean in place of `{short(e)}`"
    if isinstance(e, (ast.BinOp, ast.Call, ast.Name)):
        for name in names.counts:
            yield ast.BinOp(e, ast.Div(), ast.Name(name, ast.Load())), f"a division by {name} of `{short(e)}`"


def no_means(e: ast.expr, names: Names) -> Iterator[Change]:
    """The sum for the mean, or no division by a count."""
    if reduces(e) and e.func.attr == "mean":  # type: ignore[attr-defined]
        yield renamed(e, "sum"), f"a mean where the sum is meant: `{short(e)}`"
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Div) and is_count(e.right, names.counts):
        yield e.left, f"the division by {short(e.right)}"


def constants(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another number, or one number less among the factors."""
    if isinstance(e, ast.Constant) and type(e.value).__name__ in KINDS and not hasattr(e, "exponent"):
        for value in (2 * e.value, e.value / 2, 3 * e.value, e.value / 3, 1 / e.value if e.value else 1):  # type: ignore[operator]
            yield ast.Constant(value), f"the number {e.value}"
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div)):
        if isinstance(e.right, ast.Constant):
            yield e.left, f"the factor {short(e.right)}"
        if isinstance(e.left, ast.Constant) and isinstance(e.op, ast.Mult):
            yield e.right, f"the factor {short(e.left)}"


def powers(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another exponent; what was raised, plainly."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow):
        yield e.left, f"the exponent of `{short(e.left)}`"
        for by in (1, -1):
            more = ast.BinOp(e.right, ast.Add(), ast.Constant(by))
            yield ast.BinOp(e.left, ast.Pow(), more), f"the exponent of `{short(e.left)}`"
    elif isinstance(e, ast.Name) and e.id in names.tensors:
        yield ast.BinOp(e, ast.Pow(), ast.Constant(2)), f"the exponent of `{e.id}`"


def fewer_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """A product without one of its factors."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div)):
        yield e.left, f"`{short(e.right)}`"
        if isinstance(e.op, ast.Mult):
            yield e.right, f"`{short(e.left)}`"
        else:
            yield ast.BinOp(ast.Constant(1.0), ast.Div(), e.right), f"`{short(e.left)}`"


def fewer_terms(e: ast.expr, names: Names) -> Iterator[Change]:
    """A sum without one of its terms."""
    if isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Add, ast.Sub)):
        yield e.left, f"`{short(e.right)}`"
        yield (e.right if isinstance(e.op, ast.Add) else ast.UnaryOp(ast.USub(), e.right)), f"`{short(e.left)}`"


def more_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """One of the solution's factors more; not in what is raised, where it would be more than one."""
    if hasattr(e, "raised") or hasattr(e, "exponent"):
        return
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp, ast.Subscript, ast.Constant, ast.Attribute)):
        for factor in names.factors:
            yield ast.BinOp(e, ast.Mult(), factor), f"the factor `{short(factor)}`"
            yield ast.BinOp(e, ast.Div(), factor), f"the divisor `{short(factor)}`"


def any_factors(e: ast.expr, names: Names) -> Iterator[Change]:
    """A tensor more among the factors."""
    return more_factors(e, Names((), (), tuple(ast.Name(name, ast.Load()) for name in names.tensors)))


def operands(e: ast.expr, names: Names) -> Iterator[Change]:
    """Another name, the other way of a division, a neighbouring function."""
    if isinstance(e, ast.Name) and e.id not in ("torch", "F"):
        for name in names.known:
            if name != e.id:
                yield ast.Name(name, ast.Load()), f"`{e.id}`"
    elif isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div, ast.Pow)):
        if not isinstance(e.op, ast.Mult):
            yield ast.BinOp(e.right, e.op, e.left), f"`{short(e)}`, the wrong way round"
        if not isinstance(e.op, ast.Pow):
            other, words = (ast.Div(), "times") if isinstance(e.op, ast.Mult) else (ast.Mult(), "divided by")
            yield ast.BinOp(e.left, other, e.right), f"{words} `{short(e.right)}`"
    elif isinstance(e, ast.Compare) and len(e.ops) == 1 and isinstance(e.ops[0], (ast.Gt, ast.Lt, ast.GtE, ast.LtE)):
        other = ast.Lt() if isinstance(e.ops[0], (ast.Gt, ast.GtE)) else ast.Gt()
        yield ast.Compare(e.left, [other], e.comparators), f"`{short(e)}`, the wrong way round"
    elif isinstance(e, ast.Attribute) and e.attr in SWAPS:
        for name in SWAPS[e.attr]:
            yield ast.Attribute(e.value, name, e.ctx), f"`{e.attr}`"


def negated(e: ast.expr, names: Names) -> Iterator[Change]:
    """The opposite sign of anything but an exponent."""
    if isinstance(e, (ast.Name, ast.Call, ast.BinOp, ast.Constant)) and not hasattr(e, "exponent"):
        yield ast.UnaryOp(ast.USub(), e), f"the sign of `{short(e)}`"


def factors_of(statements: list[ast.stmt]) -> tuple[ast.expr, ...]:
    """The factors and divisors that stand in statements, each once."""
    found = {}
    for statement in statements:
        for each in ast.walk(statement):
            if isinstance(each, ast.BinOp) and isinstance(each.op, (ast.Mult, ast.Div)):
                found.update({ast.dump(side): side for side in (each.left, each.right)})
    return tuple(found.values())
