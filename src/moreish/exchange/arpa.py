"""N-gram models in the ARPA format, which KenLM, SRILM, OpenFst and many decoders read.

Source: the ARPA MIT-LL format as SRILM's ngram-format(5) has it. Probabilities and backoff weights are base-10
logarithms. A symbol stands for itself; white space, control characters and the format's own signs are written as
their code, `U+0020`. An unknown symbol has probability 10**-99: this alphabet has none.
"""

from __future__ import annotations

import math

from moreish.errors import UsageError
from moreish.learning.recipe import Trained
from moreish.models.ngram import NGram
from moreish.shapes import BOUNDARY

NEVER = -99.0
RESERVED = ("<s>", "</s>", "<unk>", "<UNK>", "\\data\\", "\\end\\")


def token(symbol: str) -> str:
    """A symbol as a word of the ARPA file: without white space, never empty, never one of the format's own."""
    plain = symbol and symbol.isprintable() and not any(c.isspace() for c in symbol)
    if plain and symbol not in RESERVED and not symbol.startswith("U+"):
        return symbol
    return "+".join(f"U+{ord(c):04X}" for c in symbol) or "U+"


def to_arpa(trained: Trained) -> str:
    """The text of the ARPA file of a run's n-gram model.

    Raises:
        UsageError: the model is no n-gram model, or its smoothing has no shorter context to back off to.
    """
    model = trained.model
    if not isinstance(model, NGram):
        raise UsageError(f"a {trained.recipe.model} model is no n-gram model, and ARPA holds only those. Train ngram.")
    if model.config.order > 1 and not model.interpolated:
        raise UsageError(
            f"smoothing {model.config.smoothing} gives unseen symbols a constant, where ARPA asks the shorter context. "
            f"Train with --smoothing kneser-ney or witten-bell."
        )
    words = ["</s>", *(token(symbol) for symbol in trained.alphabet.symbols)]
    contexts, depths = _contexts(model, words)
    after, log_probs = model.edge_next.tolist(), model.edge_log_probs.tolist()
    backoff, edge_symbols = model.log_backoff.tolist(), model.edge_symbols.tolist()
    levels: list[list[str]] = [[] for _ in range(model.config.order + 1)]
    edge = 0
    for state, size in enumerate(model.row_starts.diff().tolist()):
        length = depths[state] + 1
        for _ in range(size):
            symbol = edge_symbols[edge]
            row = f"{_log10(log_probs[edge])}\t{contexts[state]}{words[symbol]}"
            # The state after is this very n-gram, or a shorter suffix where the n-gram leads nowhere.
            if symbol != BOUNDARY and depths[after[edge]] == length and length < model.config.order:
                row += f"\t{_log10(backoff[after[edge]])}"
            levels[length].append(row)
            edge += 1
    levels[1].append(f"{NEVER:g}\t<unk>")
    start = f"\t{_log10(backoff[model.start])}" if model.start else ""
    levels[1].append(f"{NEVER:g}\t<s>{start}")
    head = [f"ngram {k}={len(rows)}" for k, rows in enumerate(levels) if k]
    body = [line for k, rows in enumerate(levels) if k for line in ("", f"\\{k}-grams:", *rows)]
    return "\n".join(["\\data\\", *head, *body, "", "\\end\\", ""])


def _contexts(model: NGram, words: list[str]) -> tuple[list[str], list[int]]:
    """Each state's context as words, ready to be followed by one, and its length."""
    contexts, depths = [""], [0]
    oldest, suffix = model.oldest.tolist(), model.suffix.tolist()
    for state in range(1, len(suffix)):
        first = "<s>" if oldest[state] == BOUNDARY else words[oldest[state]]
        contexts.append(f"{first} {contexts[suffix[state]]}")
        depths.append(depths[suffix[state]] + 1)
    return contexts, depths


def _log10(natural: float) -> str:
    return f"{max(natural / math.log(10), NEVER):.7g}"
