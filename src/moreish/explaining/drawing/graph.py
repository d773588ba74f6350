"""What was computed from what: the one shape in which computations are told, drawn and written as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A named value of a computation. `parents` are the names of what it was computed from, in the op's order.

    `value` and `gradient` are short texts for people; "" where there is none to show.
    """

    name: str
    op: str
    """What made it, such as `+`, `@` or `tanh`; "" for an input."""
    shape: tuple[int, ...]
    parents: tuple[str, ...] = ()
    value: str = ""
    gradient: str = ""
    note: str = ""
    """One sentence on it, such as why it has no gradient."""
    is_end: bool = False
    """Whether backward starts here."""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they were computed: parents come before what is made of them."""

    nodes: tuple[Node, ...]
    title: str = ""
