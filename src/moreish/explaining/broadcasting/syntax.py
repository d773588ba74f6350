"""Text read as an expression over shapes, by Python's own grammar. Nothing in it is ever run.

(27,27) / (27,1)                        a shape stands for a tensor of that shape
N / N.sum(1) with N=(27,27)             names after `with`, or before, as N=(27,27); N / N.sum(1)
P = N.sum(1, keepdim=True); N / P       steps may have names too
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from moreish.errors import UsageError
from moreish.explaining.broadcasting.words import quoted

MOST_CHARACTERS = 2_000
MOST_DEPTH = 40
MOST_NESTING = 120
"""Operations within operations, `1+1+1+...` included: Python's own limits are not far beyond."""
EXAMPLE = 'Write for example "(27,27) / (27,1)", or "N / N.sum(1) with N=(27,27)".'
_LONE = re.compile(r"\(\s*(\d+)\s*\)")
_WITH = re.compile(r"\bwith\b")


@dataclass(frozen=True)
class Statement:
    """A name to give, or "" for the last; the expression; whether it is an in-place one, as `P /= 2`."""

    name: str
    expression: ast.expr
    in_place: ast.operator | None
    source: str


def read_expression(text: str) -> list[Statement]:
    """The statements of an expression, the definitions after `with` first.

    Raises:
        UsageError: too long or too deep, not Python's grammar, or statements that are no definitions.
    """
    text = text.strip()
    if not text:
        raise UsageError(f"broadcasting: there is nothing to explain. {EXAMPLE}")
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"broadcasting: the expression has {len(text):,} characters, more than {MOST_CHARACTERS:,}. Explain a part."
        )
    _check_depth(text)
    _check_numbers(text)
    body, *given = _WITH.split(text)
    if len(given) > 1:
        raise UsageError("broadcasting: `with` stands more than once. Name all shapes after one: with a=(27,), b=(3,)")
    found = [_definition(each) for each in _definitions(given[0])] if given else []
    statements = _parsed(body)
    if not statements:
        raise UsageError(f"broadcasting: there is nothing to explain before `with`. {EXAMPLE}")
    for at, each in enumerate(statements):
        found.append(_statement(each, body, last=at == len(statements) - 1))
    return found


def _definitions(text: str) -> list[ast.keyword]:
    """`a=(27,), b=(3,)`, read as the arguments of a call would be."""
    try:
        (call,) = _parsed(f"_({text})")
    except UsageError:
        call = None
    if isinstance(call, ast.Expr) and isinstance(call.value, ast.Call):
        keywords = call.value.keywords
        if keywords and not call.value.args and all(each.arg for each in keywords):
            return keywords
    raise UsageError(
        f"broadcasting: cannot read {text.strip()[:40]!r} after `with`. Write names: with N=(27,27), b=(27,)"
    )


def _definition(keyword: ast.keyword) -> Statement:
    return Statement(keyword.arg or "", keyword.value, None, ast.unparse(keyword.value))


def _parsed(text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        where = f" at {_near(text.strip(), error)}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"broadcasting: cannot read {quoted(text)} as an expression{where}. {EXAMPLE}") from None
    _check_nesting(body)
    return body


def _near(text: str, error: SyntaxError) -> str:
    lines = text.split("\n")
    line = lines[error.lineno - 1] if error.lineno and 0 < error.lineno <= len(lines) else text
    rest = line[max((error.offset or 1) - 1, 0) :].strip()
    return repr(rest[:20]) if rest else "its end"


def _statement(node: ast.stmt, body: str, last: bool) -> Statement:
    if isinstance(node, ast.Expr) and last:
        return Statement("", node.value, None, ast.unparse(node.value))
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return Statement(node.targets[0].id, node.value, None, ast.unparse(node.value))
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return Statement(node.target.id, node.value, node.op, ast.unparse(node))
    if isinstance(node, ast.Expr):
        raise UsageError(
            f"broadcasting: {quoted(ast.unparse(node))} is followed by more and has no name. "
            f"Give it one, or leave it out: t = {ast.unparse(node)[:40]}"
        )
    raise UsageError(f"broadcasting: {quoted(body)} is no expression over shapes. {EXAMPLE}")


def _check_depth(text: str) -> None:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MOST_DEPTH:
        raise UsageError(f"broadcasting: parentheses stand {deepest} deep, more than {MOST_DEPTH}. Explain a part.")


def _check_numbers(text: str) -> None:
    """Refuse (27), which looks like a shape and is a number."""
    for found in _LONE.finditer(text):
        if not re.search(r"[\w)\]]\s*$", text[: found.start()]):
            raise UsageError(
                f"broadcasting: {quoted(found[0])} is a number in Python, not a shape. Write ({found[1][:20]},) for a "
                f"shape of one axis, or {found[1][:20]} for the number."
            )


def _check_nesting(body: list[ast.stmt]) -> None:
    level: list[ast.AST] = list(body)
    for _ in range(MOST_NESTING):
        if not (level := [child for node in level for child in ast.iter_child_nodes(node)]):
            return
    raise UsageError(f"broadcasting: operations stand more than {MOST_NESTING} deep. Explain a part of the expression.")
