"""Whole lines from a model: many at once, finished ones dropped as it goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from moreish.errors import Impossible, UsageError
from moreish.generating.draws import Draw, make_draw
from moreish.models.model import LanguageModel, device_of
from moreish.randomness import stream
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet, printable

LONGEST = 1_000
"""The default maximum length is twice the longest line, and at most this."""
LONGEST_ASKED = 1_000_000


@dataclass(frozen=True)
class Drawn:
    """Some lines: their texts, nats float64 [n] (whole line, its end included, untempered), cut bool [n].

    A line that was cut had not ended at the maximum length; its nats are those of the symbols that stand there. `own`:
    its nats under what it was really drawn by, after temperature and the like, where that was kept.
    """

    texts: list[str]
    nats: np.ndarray
    cut: np.ndarray
    own: np.ndarray | None = None

    def chosen(self, which: np.ndarray | slice) -> Drawn:
        """Some of the lines: a mask, numbers or a slice."""
        rows = np.arange(len(self.texts))[which]
        own = None if self.own is None else self.own[rows]
        return Drawn([self.texts[i] for i in rows.tolist()], self.nats[rows], self.cut[rows], own)


def default_max_length(longest_line: int) -> int:
    """Twice the longest line of the list, at most 1,000 symbols."""
    return max(1, min(2 * longest_line, LONGEST))


def check_max_length(max_length: int) -> None:
    """Refuse a maximum length that means nothing.

    Raises:
        UsageError
    """
    if isinstance(max_length, bool) or not isinstance(max_length, int) or not 1 <= max_length <= LONGEST_ASKED:
        raise UsageError(f"max_length={max_length!r} is not a whole number from 1 to {LONGEST_ASKED:,}. Use 30, say.")


def draw_lines(
    model: LanguageModel[Any],
    alphabet: Alphabet,
    *,
    max_length: int,
    draw: Draw | None = None,
    prefix: str = "",
    seed: int = 0,
    at_once: int = 10_000,
) -> Iterator[Drawn]:
    """Batch after batch of lines, without end: take what is needed.

    Args:
        max_length: symbols in a line, the prefix included.
        draw: how to draw symbols, from `make_draw`; by default the model as it is.
        prefix: what every line begins with; its probability is part of the line's nats.
        at_once: lines in a batch; fewer where the model needs the memory.

    Raises:
        UsageError: a setting that means nothing.
        Impossible: the model gives the prefix no probability at all.
        AlphabetError: the prefix holds a symbol that the alphabet lacks.
    """
    check_max_length(max_length)
    model.eval()
    draw = draw or make_draw(model)
    begun = symbols_of(prefix, alphabet, max_length)
    generator = stream(seed, "sampling", str(draw.device or device_of(model)))
    read = torch.tensor([[BOUNDARY, *begun]], device=generator.device)
    with torch.no_grad():  # not around the yields: what the caller does between them is the caller's
        start = draw.begin(read)
    spent = prefix_nats(model, alphabet, prefix)
    while True:
        yield _batch(draw, start, min(at_once, draw.most_at_once), begun, spent, max_length, alphabet, generator)


@torch.no_grad()
def prefix_nats(model: LanguageModel[Any], alphabet: Alphabet, prefix: str) -> float:
    """How improbable it is, in nats, that a line begins so.

    Raises:
        Impossible: the model gives it no probability at all.
        UsageError, AlphabetError: it is no text, or holds a symbol that the alphabet lacks.
    """
    model.eval()
    read = torch.tensor([[BOUNDARY, *symbols_of(prefix, alphabet)]], device=device_of(model))
    if read.shape[1] == 1:
        return 0.0
    spent = float(model.target_nats(read[:, :-1], read[:, 1:], model.begin(1)).sum())
    if math.isinf(spent):
        raise Impossible(
            f"no line can begin with {printable(prefix)!r:.60}: this model, without smoothing, never saw that. "
            f"Use another prefix, or train with --smoothing kneser-ney."
        )
    return spent


def symbols_of(prefix: str, alphabet: Alphabet, max_length: int | None = None) -> list[int]:
    """The ids of a line's beginning, which leaves room for one symbol more.

    Raises:
        UsageError, AlphabetError: it is no text, is too long, or holds a symbol that the alphabet lacks.
    """
    if not isinstance(prefix, str):
        raise UsageError(f"prefix={prefix!r:.60} is not text. Use what every line shall begin with, or leave it out.")
    begun = alphabet.encode(alphabet.spelling(prefix)) if prefix else []
    if max_length is not None and len(begun) >= max_length:
        raise UsageError(
            f"the prefix has {len(begun)} symbols, and a line at most {max_length}. "
            f"Use a shorter prefix or a larger --max-length."
        )
    return begun


@torch.no_grad()
def _batch(
    draw: Draw,
    start: Any,
    count: int,
    begun: list[int],
    spent: float,
    max_length: int,
    alphabet: Alphabet,
    generator: torch.Generator,
) -> Drawn:
    device = generator.device
    position = draw.keep(start, torch.zeros(count, dtype=torch.long, device=device))
    going = torch.arange(count, device=device)
    nats = torch.full((count,), spent, dtype=torch.float64, device=device)
    rows, drawn = [], []  # a column of the lines for each length: which lines go on, and with what
    for length in range(len(begun), max_length + 1):
        symbols, symbol_nats, position = draw.step(position, generator)
        inside = symbols.nonzero()[:, 0]  # a line ends with BOUNDARY, which is 0
        if length == max_length:  # only an end still fits
            ended = (symbols == BOUNDARY).nonzero()[:, 0]
            nats.index_add_(0, going[ended], symbol_nats[ended].double())
            going = going[inside]
            break
        nats.index_add_(0, going, symbol_nats.double())
        if inside.shape[0] < going.shape[0]:  # and no len(), which is slow on tensors
            going, symbols = going.index_select(0, inside), symbols.index_select(0, inside)
            if not inside.shape[0]:
                break
            position = draw.keep(position, inside)
        rows.append(going)
        drawn.append(symbols)
    ids = torch.zeros(count, len(begun) + len(rows), dtype=torch.int32, device=device)
    ids[:, : len(begun)] = torch.tensor(begun, dtype=torch.int32, device=device)
    lengths = torch.full((count,), len(begun), device=device)
    if rows:
        row = torch.cat(rows)
        sizes = torch.tensor([len(column) for column in rows], device=device)
        column = torch.repeat_interleave(torch.arange(len(begun), ids.shape[1], device=device), sizes)
        ids[row, column] = torch.cat(drawn).int()
        lengths += torch.bincount(row, minlength=count)
    cut = torch.zeros(count, dtype=torch.bool, device=device).index_fill_(0, going, True)
    return Drawn(alphabet.decode_rows(ids.cpu().numpy(), lengths.cpu().numpy()), nats.cpu().numpy(), cut.cpu().numpy())
