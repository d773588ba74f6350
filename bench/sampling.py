"""Drawing lines, beside the lectures' loop that draws one symbol at a time."""

from __future__ import annotations

from itertools import islice

import torch

from moreish import Corpus, Trained, best, fit, sample
from moreish.generating.draws import make_draw
from moreish.generating.sampler import default_max_length, draw_lines
from moreish.models.counts import count_grams
from timing import REPEATS, Measured, clock, in_turn, rates, timed

AT_ONCE = 10_000
DRAWN = 100_000
WITH_ORIGINS = 50_000
LOOP_LINES = 2_000
BEST = 100


def lecture_table(path: str) -> tuple[torch.Tensor, list[str]]:
    """The probabilities of the lecture's bigrams (counts plus one), float32 [27 27], and its symbols."""
    corpus = Corpus.read(path, split="none")
    counts = torch.ones(len(corpus.alphabet), len(corpus.alphabet))
    grams = count_grams(corpus.train, corpus.alphabet, 2)
    counts[tuple(torch.from_numpy(grams.rows).long().T)] += torch.from_numpy(grams.counts)
    return counts / counts.sum(1, keepdim=True), [".", *corpus.alphabet.symbols]


def loop(table: torch.Tensor, symbols: list[str]) -> None:
    """As in the lecture: makemore part 1, "the spelled-out intro to language modeling"."""
    g = torch.Generator().manual_seed(2147483647)
    for _ in range(LOOP_LINES):
        out = []
        ix = 0
        while True:
            p = table[ix]
            ix = torch.multinomial(p, num_samples=1, replacement=True, generator=g).item()
            out.append(symbols[int(ix)])
            if ix == 0:
                break
        "".join(out)


def drawn(lists: dict[str, str]) -> Measured:
    """Lines a second, drawn and decoded, the first batch's tables left out."""
    return _drawn(lists["names"], lists["names"])


def drawn_of_many_symbols(lists: dict[str, str]) -> Measured:
    """As `drawn`, from a list of 3,000 symbols; the loop keeps to names.txt."""
    return _drawn(lists["symbols-3000-lines"], lists["names"])


def _drawn(path: str, names: str) -> Measured:
    trained = fit(Corpus.read(path), "ngram")
    made = []
    laying_out = timed(lambda: made.append(make_draw(trained.model)))
    longest = default_max_length(trained.longest)
    texts: list[str] = []

    def draw() -> None:
        batches = draw_lines(trained.model, trained.alphabet, draw=made[0], max_length=longest, at_once=AT_ONCE)
        texts[:] = [text for batch in islice(batches, DRAWN // AT_ONCE) for text in batch.texts]

    table, symbols = lecture_table(names)
    ours, reference = in_turn(draw, lambda: loop(table, symbols))
    mean = sum(map(len, texts)) / len(texts)
    note = f"{_about(trained)}; lines of {mean:.1f} symbols; tables laid out once in {laying_out.wall:.2f} s"
    return Measured(rates(len(texts), ours), rates(LOOP_LINES, reference), note, clock=clock(ours))


def most_probable(lists: dict[str, str]) -> dict[str, Measured]:
    """Seconds for the 100 most probable lines; the index of the list is made once before."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    best(trained, BEST)
    longest = default_max_length(trained.longest)
    out = {}
    for figure, lengths in (("warm", [longest] * REPEATS), ("cold", range(longest + 1, longest + 1 + REPEATS))):
        # another length has tables of its own
        taken = [timed(lambda most=most: best(trained, BEST, max_length=most)) for most in lengths]
        out[figure] = Measured([timing.wall for timing in taken], note=_about(trained), clock=clock(taken))
    return out


def with_origins(lists: dict[str, str]) -> Measured:
    """Lines a second with nats, origin and the line each is near; the index of the list is made once before."""
    trained = fit(Corpus.read(lists["names"]), "ngram")
    first = timed(lambda: sample(trained, 1))
    table, symbols = lecture_table(lists["names"])
    ours, reference = in_turn(lambda: sample(trained, WITH_ORIGINS), lambda: loop(table, symbols))
    note = f"{_about(trained)}; the first line, its index included, after {first.wall:.2f} s"
    return Measured(rates(WITH_ORIGINS, ours), rates(LOOP_LINES, reference), note, clock=clock(ours))


def _about(trained: Trained) -> str:
    config = trained.model.config
    return f"{config.states:,} states, {config.symbols:,} symbols, {trained.parameters:,} n-grams"
