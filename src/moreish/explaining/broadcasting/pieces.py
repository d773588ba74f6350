"""Pieces of code put together: where parentheses are needed, and where not."""

from __future__ import annotations

import ast


def is_atomic(code: str) -> bool:
    """Whether code may stand beside an operator without parentheses."""
    if code.isidentifier():
        return True
    return isinstance(
        ast.parse(code, mode="eval").body, (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)
    )


def wrapped(code: str) -> str:
    """Code in parentheses, where it needs them."""
    return code if is_atomic(code) else f"({code})"


def put(template: str, *codes: str) -> str:
    """Code put into a template, in parentheses where it stands beside an operator or before a dot."""
    return template.format(*(codes if template.startswith("torch.") else map(wrapped, codes)))
