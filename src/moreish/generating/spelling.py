"""From an automaton over characters to one over a model's symbols, whatever a symbol is."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from moreish.errors import UsageError
from moreish.generating.acceptor import DEAD, Acceptor
from moreish.text.alphabet import Alphabet

MOST_CELLS = 1 << 27
"""States x symbols that are laid out on the way."""


def characters_of(alphabet: Alphabet) -> list[str]:
    """Every character that a line of this alphabet can hold, in a fixed order."""
    if alphabet.kind == "characters":
        return list(alphabet.symbols)
    if alphabet.kind == "bytes":
        return _characters_of_bytes({ord(symbol) for symbol in alphabet.symbols})
    found = set("".join(alphabet.symbols))
    return sorted(found | {" "} if alphabet.kind == "words" else found)


def over_symbols(acceptor: Acceptor, characters: list[str], alphabet: Alphabet) -> Acceptor:
    """The same lines, read symbol by symbol: `acceptor` is over `characters`, which `characters_of` gave.

    Raises:
        UsageError: the alphabet is too large for that many states.
    """
    if alphabet.kind == "characters" or not len(acceptor):
        kind_of = acceptor.kind_of if len(acceptor) else np.zeros(len(alphabet.symbols), np.int32)
        return Acceptor(acceptor.table[:, : int(kind_of.max(initial=-1)) + 1], kind_of, acceptor.accepting)
    if alphabet.kind == "bytes":
        return _over_bytes(acceptor, characters, alphabet)
    states = len(acceptor)
    if states * len(alphabet.symbols) > MOST_CELLS:
        raise UsageError(
            f"these conditions have {states:,} states, too many for an alphabet of {len(alphabet.symbols):,} symbols. "
            f"Use fewer or shorter ones."
        )
    dead = len(acceptor)
    table = np.concatenate([acceptor.table, np.full((1, acceptor.table.shape[1]), DEAD, np.int32)])
    table[table == DEAD] = dead
    kinds = {c: int(kind) for c, kind in zip(characters, acceptor.kind_of)}
    columns: dict[tuple[int, ...], int] = {}
    read: list[np.ndarray] = []
    kind_of = np.empty(len(alphabet.symbols), np.int32)
    for i, symbol in enumerate(alphabet.symbols):
        spelt = tuple(kinds[c] for c in symbol)
        if spelt not in columns:
            columns[spelt] = len(read)
            at = np.arange(states)
            for kind in spelt:
                at = table[at, kind]
            read.append(at)
        kind_of[i] = columns[spelt]
    after = np.stack(read, 1) if read else np.zeros((states, 0), np.int64)
    if alphabet.kind == "words":  # a space stands before each word but the first
        space = np.append(table[:states, kinds[" "]], dead)[:states]
        spaced = np.concatenate([after, np.full((1, after.shape[1]), dead)])[space]
        after = np.concatenate([after[:1], spaced]) + 1  # the first state is that before the first word
        after[after > states] = DEAD
        accepting = np.concatenate([acceptor.accepting[:1], acceptor.accepting])
    else:
        after, accepting = np.where(after == dead, DEAD, after), acceptor.accepting
    return Acceptor(after.astype(np.int32), kind_of, accepting).minimal()


def _characters_of_bytes(known: set[int]) -> list[str]:
    highest = max(known, default=0)
    end = 0x80 if highest < 0xC2 else 0x800 if highest < 0xE0 else 0x10000 if highest < 0xF0 else 0x110000
    points = (chr(code) for code in range(end) if not 0xD800 <= code < 0xE000)
    return [c for c in points if known.issuperset(c.encode())]


def _over_bytes(acceptor: Acceptor, characters: list[str], alphabet: Alphabet) -> Acceptor:
    """Characters of one kind that begin with the same bytes are told apart no further than they must be."""
    tree: dict[int, Any] = {}
    for character, kind in zip(characters, acceptor.kind_of.tolist()):
        *first, last = character.encode()
        at = tree
        for byte in first:
            at = at.setdefault(byte, {})
        at[last] = kind
    nodes: list[dict[int, int | tuple[str, int]]] = []
    known: dict[Hashable, int] = {}

    def number(node: dict[int, Any]) -> int:
        """A node's number; equal ones share it. Its bytes lead to a kind of character, or to ("node", another)."""
        branches = {b: ("node", number(x)) if isinstance(x, dict) else x for b, x in node.items()}
        key = tuple(sorted(branches.items(), key=lambda item: item[0]))
        if key not in known:
            known[key] = len(nodes)
            nodes.append(branches)
        return known[key]

    root = number(tree)
    bytes_of = [ord(symbol) for symbol in alphabet.symbols]

    def step(state: Hashable, kind: int) -> Hashable | None:
        at, node = state  # type: ignore[misc]
        branch = nodes[node].get(bytes_of[kind])
        if branch is None:
            return None
        if isinstance(branch, tuple):
            return at, branch[1]
        after = int(acceptor.table[at, branch])
        return (after, root) if after != DEAD else None

    def accepts(state: Hashable) -> bool:
        at, node = state  # type: ignore[misc]
        return node == root and bool(acceptor.accepting[at])

    return Acceptor.explore((0, root), step, accepts, np.arange(len(bytes_of), dtype=np.int32))
