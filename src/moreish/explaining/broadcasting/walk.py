"""An expression walked from its leaves up, each operation recorded as a step. Nothing is run."""

from __future__ import annotations

import ast
import math

from moreish.errors import UsageError, did_you_mean
from moreish.explaining.broadcasting.alignment import LARGEST_SIZE
from moreish.explaining.broadcasting.arguments import Argument, Call
from moreish.explaining.broadcasting.calls import call, index, known_calls
from moreish.explaining.broadcasting.layouts import ATTRIBUTES
from moreish.explaining.broadcasting.steps import Value
from moreish.explaining.broadcasting.syntax import EXAMPLE, Statement
from moreish.explaining.broadcasting.words import quoted
from moreish.explaining.broadcasting.workspace import FUNCTIONS, Workspace

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Mod: "%", ast.FloorDiv: "//",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
TWO_SIDED = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "remainder": "%", "matmul": "@",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", **{name: name for name in FUNCTIONS},
}  # fmt: skip
"""Calls on two tensors, by the operator that says the same."""
MAKERS = ("zeros", "ones", "rand", "randn", "empty")
MODULES = ("torch", "F", "nn")


def walked(work: Workspace, statement: Statement, last: bool) -> Value:
    """Record the steps of one statement, and name its value.

    Raises:
        UsageError: something in it is no operation on shapes, or a name is not known.
        Stopped: a step is an error.
    """
    want = statement.name or ("out" if last else "")
    if statement.in_place is not None:
        before = _known(work, statement.name)
        right = _value(work, statement.expression, "")
        op = OPERATORS.get(type(statement.in_place))
        if op is None or op == "@":
            raise UsageError(f"broadcasting: {quoted(statement.source)} is no in-place operation on shapes.")
        found = work.pair(op, before, right, want, in_place=True)
    elif (sizes := _literal(statement.expression)) is not None:
        found = work.give(sizes, statement.name)
    else:
        found = _value(work, statement.expression, want)
    if statement.name:
        work.values[statement.name] = found
    return found


def _value(work: Workspace, node: ast.expr, want: str = "") -> Value:
    """What a piece of the expression stands for; its operation's result is to have the wanted name."""
    if isinstance(node, ast.Name):
        return _known(work, node.id)
    if isinstance(node, ast.Constant):
        return number(node.value)
    if (sizes := _literal(node)) is not None:
        return work.give(sizes)
    if isinstance(node, ast.UnaryOp):
        return _signed(work, node, want)
    if isinstance(node, ast.BinOp):
        return _two(work, OPERATORS.get(type(node.op), ""), node.left, node.right, want, node)
    if isinstance(node, ast.Compare):
        if len(node.ops) > 1:
            raise UsageError(
                f"broadcasting: {quoted(ast.unparse(node))} compares more than two, which torch refuses. Use & between."
            )
        return _two(work, OPERATORS.get(type(node.ops[0]), ""), node.left, node.comparators[0], want, node)
    if isinstance(node, ast.Subscript):
        return _indexed(work, node, want)
    if isinstance(node, ast.Attribute):
        return _attribute(work, node, want)
    if isinstance(node, ast.Call):
        return _called(work, node, want)
    raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} is no operation on shapes. {EXAMPLE}")


def _literal(node: ast.expr) -> list[int] | None:
    """The sizes of a shape that is written out, also as in torch.zeros(27, 27); None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords:
        module, first = node.func.value, node.args[0] if len(node.args) == 1 else None
        if isinstance(module, ast.Name) and module.id == "torch" and node.func.attr in MAKERS:
            return [_size(each) for each in (first.elts if isinstance(first, (ast.Tuple, ast.List)) else node.args)]
    return [_size(each) for each in node.elts] if isinstance(node, (ast.Tuple, ast.List)) else None


def _known(work: Workspace, name: str) -> Value:
    if name in work.values:
        return work.values[name]
    there = f" {did_you_mean(name, work.values)}" if work.values else ""
    raise UsageError(f"broadcasting: {name!r:.40} has no shape.{there} Give it one: with {name[:20]}=(27, 27).")


def number(value: object) -> Value:
    """A plain number as a value.

    Raises:
        UsageError: it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"broadcasting: {quoted(repr(value))} is neither a shape nor a number. {EXAMPLE}")
    if not math.isfinite(value) or abs(value) > 1e300:
        raise UsageError("broadcasting: a number in the expression is larger than floats are. Write a smaller one.")
    text = repr(value) if value >= 0 else f"({value!r})"
    return Value(text, text, (), (), gradient=False, number=True)


def _size(node: ast.expr) -> int:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inside = node.operand
        if isinstance(inside, ast.Constant) and type(inside.value) is int:
            return -inside.value
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        raise UsageError('broadcasting: shapes stand side by side. Put an operator between: "(27,27) / (27,1)".')
    raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} is no size. Sizes are whole numbers, as in (27, 1).")


def _signed(work: Workspace, node: ast.UnaryOp, want: str) -> Value:
    inside = _value(work, node.operand)
    if isinstance(node.op, ast.UAdd):
        return inside
    if not isinstance(node.op, ast.USub):
        raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} is no operation on shapes. {EXAMPLE}")
    if inside.number:
        return number(-_plain(inside))
    return call(work, Call("neg", inside, (), {}, want))


def _two(work: Workspace, op: str, left: ast.expr, right: ast.expr, want: str, whole: ast.expr) -> Value:
    if not op:
        raise UsageError(f"broadcasting: {quoted(ast.unparse(whole))} is no operation on shapes. {EXAMPLE}")
    a, b = _value(work, left), _value(work, right)
    if a.number and b.number:
        return _folded(op, _plain(a), _plain(b))
    if op == "@":
        return work.product(a, b, want)
    return work.pair(op, a, b, want)


def _folded(op: str, a: int | float, b: int | float) -> Value:
    """Two numbers made one, where that is a number."""
    try:
        found = {"+": a + b, "-": a - b, "*": a * b}.get(op)
        found = a / b if op == "/" else float(a) ** b if op == "**" else found
    except (ArithmeticError, ValueError):
        found = None
    if found is None or isinstance(found, complex):
        raise UsageError(f"broadcasting: {a} {op} {b} has no shape in it, and is no number to go on with. {EXAMPLE}")
    return number(found)


def _plain(value: Value) -> int | float:
    text = value.name.strip("()")
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _indexed(work: Workspace, node: ast.Subscript, want: str) -> Value:
    value = _value(work, node.value)
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    read = [_index_part(part, node) for part in parts]
    if read.count("...") > 1:
        raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} has ... twice. torch takes it once.")
    if value.number:
        raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} takes axes of a number. Write a shape: (27,).")
    return index(work, value, read, want)


def _index_part(node: ast.expr, whole: ast.Subscript) -> str:
    if isinstance(node, ast.Slice) and node.lower is node.upper is node.step is None:
        return ":"
    if isinstance(node, ast.Constant) and node.value is None:
        return "None"
    if isinstance(node, ast.Constant) and node.value is Ellipsis:
        return "..."
    raise UsageError(
        f"broadcasting: {quoted(ast.unparse(whole))} picks entries, which is no broadcasting. Of brackets only :, None "
        f"and ... are read."
    )


def _attribute(work: Workspace, node: ast.Attribute, want: str) -> Value:
    if node.attr == "values" and isinstance(node.value, ast.Call):
        return _called(work, node.value, want, takes_values=True)
    if node.attr not in ATTRIBUTES:
        raise UsageError(
            f"broadcasting: .{node.attr[:30]} is not known here. There are .T and .mT, and calls as .sum(1)."
        )
    return call(work, Call(node.attr, _value(work, node.value), (), {}, want))


def _called(work: Workspace, node: ast.Call, want: str, takes_values: bool = False) -> Value:
    name, arguments = _function(work, node)
    if any(keyword.arg is None for keyword in node.keywords):
        raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} cannot be read: write the arguments out.")
    keywords = {str(keyword.arg): keyword.value for keyword in node.keywords}
    if name in TWO_SIDED and len(arguments) == 2 and not keywords:
        return _two(work, TWO_SIDED[name], arguments[0], arguments[1], want, node)
    if not arguments:
        raise UsageError(f"broadcasting: {name[:30]}() is called with nothing. Give it a tensor.")
    if name not in known_calls() or name in ATTRIBUTES:
        known = {*known_calls(), *TWO_SIDED} - {*ATTRIBUTES}
        near = did_you_mean(name, known)
        near = near if near.startswith("Did") else "Known are sum, mean, max, softmax, exp, mT, unsqueeze and the like."
        raise UsageError(f"broadcasting: {name[:30]}(...) is not known here, or not so. {near}")
    value = _value(work, arguments[0])
    args = tuple(_argument(each) for each in arguments[1:])
    found = Call(name, value, args, {key: _argument(each) for key, each in keywords.items()}, want)
    along_axis = name in ("max", "min") and (bool(args) or bool(keywords))
    if along_axis != takes_values:
        what = "gives values and indices: write .values after it" if along_axis else "gives a tensor: leave .values out"
        raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} {what}.")
    return call(work, found)


def _function(work: Workspace, node: ast.Call) -> tuple[str, list[ast.expr]]:
    """The torch name of what is called, and its arguments, the tensor of a method among them."""
    function = node.func
    if isinstance(function, ast.Name):
        return function.id, list(node.args)
    if isinstance(function, ast.Attribute):
        root: ast.expr = function.value
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in MODULES and root.id not in work.values:
            return function.attr, list(node.args)
        return function.attr, [function.value, *node.args]
    raise UsageError(
        f"broadcasting: {quoted(ast.unparse(node))} calls what is no function. Is there no operator between two shapes?"
    )


def _argument(node: ast.expr) -> Argument:
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (bool, int))):
        return node.value if node.value is None else _bounded(node.value)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_bounded(_size(each)) for each in node.elts)
    if isinstance(node, ast.UnaryOp):
        return _bounded(_size(node))
    raise UsageError(f"broadcasting: {quoted(ast.unparse(node))} is no axis or size. Write a number, such as 1.")


def _bounded(value: int) -> int:
    if abs(value) > LARGEST_SIZE:
        raise UsageError("broadcasting: an axis or size is larger than 1,000,000,000. Write a smaller one.")
    return value
