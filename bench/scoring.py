"""Scoring lines, beside the lectures' loop that looks up one probability at a time."""

from __future__ import annotations

import numpy as np
import torch

from moreish import Corpus, Lines, fit, why
from moreish.learning.evaluate import line_nats
from sampling import lecture_table
from timing import MB, Measured, clock, in_turn, rates, timed

SYMBOLS = 5_000_000
LOOP_LINES = 2_000


def loop(words: list[str], table: torch.Tensor, ids: dict[str, int]) -> float:
    """As in the lecture: makemore part 1, "the spelled-out intro to language modeling"."""
    log_likelihood = torch.zeros(())
    for w in words:
        chs = [".", *list(w), "."]
        for ch1, ch2 in zip(chs, chs[1:]):  # noqa: RUF007
            logprob = torch.log(table[ids[ch1], ids[ch2]])
            log_likelihood += logprob
    return float(log_likelihood)


def five_gram(lists: dict[str, str]) -> Measured:
    """Million symbols a second: dev over and over, encoded and looked up."""
    corpus = Corpus.read(lists["names"])
    trained = fit(corpus, "ngram")
    once = int(line_nats(trained.model, trained.alphabet, corpus.dev)[1].sum())
    copies = -(-SYMBOLS // once)
    lines = Lines(np.tile(corpus.dev.data, copies))
    table, symbols = lecture_table(lists["names"])
    ids = {symbol: i for i, symbol in enumerate(symbols)}
    words = corpus.dev.texts()[:LOOP_LINES]
    looped = sum(len(word) + 1 for word in words)
    ours, reference = in_turn(
        lambda: line_nats(trained.model, trained.alphabet, lines), lambda: loop(words, table, ids)
    )
    note = f"dev {copies} times over"
    return Measured(rates(once * copies / MB, ours), rates(looped / MB, reference), note, clock=clock(ours))


def explained(lists: dict[str, str]) -> Measured:
    """Seconds for a line explained, the first of the process left out: it fits the models that stand beside."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    first = timed(lambda: why(trained, "annabel"))
    (ours,) = in_turn(lambda: why(trained, "annabel"))
    return Measured([timing.wall for timing in ours], note=f"the first took {first.wall:.2f} s", clock=clock(ours))
