"""Networks drawing lines, 1,000 at once, beside makemore.py's own way, which reads all symbols again to draw one more.

Both sides have the same weights: makemore.py learns for a little while, and we take over what it learnt.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from statistics import median

import torch

from makemore_reference import Reference
from moreish import Corpus, fit
from moreish.exchange.makemore_models import convert, recognise
from moreish.generating.sampler import draw_lines
from moreish.models.model import LanguageModel
from moreish.randomness import stream
from moreish.text.alphabet import Alphabet
from timing import Measured, clock, in_turn, rates

AT_ONCE = 1_000
BATCHES = {"transformer": 4, "gru": 20, "mlp": 20, "mixture": 4}
"""Batches of ours in a repeat, each begun anew: of the prefixes that one read the next knows nothing."""
LEARNT = {"transformer": 300, "gru": 800, "mlp": 800}
"""Steps of makemore.py's training before either side draws, so that lines end when names do."""
LEARNT_LINES, LEARNT_LR = 32, 5e-3
MIXTURE_STEPS = 50
"""Steps of the mixture: more change nothing in how fast it draws, and its tables know how long lines are."""


def transformer(lists: dict[str, str]) -> Measured:
    """Lines a second, drawn and decoded."""
    return _beside_makemore("transformer", lists["names"])


def gru(lists: dict[str, str]) -> Measured:
    """As `transformer`."""
    return _beside_makemore("gru", lists["names"])


def mlp(lists: dict[str, str]) -> Measured:
    """As `transformer`."""
    return _beside_makemore("mlp", lists["names"])


def mixture(lists: dict[str, str]) -> Measured:
    """As `transformer`, but with nobody to compare with."""
    trained = fit(Corpus.read(lists["names"]), "mixture", steps=MIXTURE_STEPS)
    draw = partial(drawn, trained.model, trained.alphabet, trained.longest, BATCHES["mixture"])
    ours, further = in_turn(draw, partial(draw, going_on=True))
    count = AT_ONCE * BATCHES["mixture"]
    note = f"{_about(draw())}; {median(rates(count, further)):,.0f} lines/s where batches go on from one another"
    return Measured(rates(count, ours), note=note, clock=clock(ours))


def _beside_makemore(kind: str, path: str) -> Measured:
    corpus = Corpus.read(path, split="none")
    reference = learnt_reference(kind, corpus)
    draw = partial(drawn, taken_over(reference), corpus.alphabet, corpus.longest, BATCHES[kind])
    ours, further, theirs = in_turn(draw, partial(draw, going_on=True), partial(reference.sample, AT_ONCE))
    count = AT_ONCE * BATCHES[kind]
    note = (
        f"the same weights, from {LEARNT[kind]} steps of makemore.py; {_about(draw())}, its "
        f"{_about(reference.sample(AT_ONCE))}; {median(rates(count, further)):,.0f} lines/s where batches go on from "
        f"one another, which knows the prefixes read before"
    )
    return Measured(rates(count, ours), rates(AT_ONCE, theirs), note, clock=clock(ours))


def learnt_reference(kind: str, corpus: Corpus) -> Reference:
    """A model of makemore.py, taught a little by its own loop."""
    words = corpus.train.texts()
    reference = Reference(kind, words, corpus.alphabet.symbols)
    numbers = torch.randint(len(words), (LEARNT[kind], LEARNT_LINES), generator=stream(1, "bench/lines"))
    learning = reference.learning(numbers.flatten().tolist(), LEARNT_LINES, LEARNT_LR)
    for _ in range(LEARNT[kind]):
        learning.step()
    return reference


def taken_over(reference: Reference) -> LanguageModel:
    """Our model with the weights of makemore.py's."""
    weights = reference.model.state_dict()
    return convert(recognise({name: tuple(t.shape) for name, t in weights.items()}), weights)


def drawn(model: LanguageModel, alphabet: Alphabet, longest: int, batches: int, going_on: bool = False) -> list[str]:
    """Batches of 1,000 lines of as many symbols as the list's longest line at most, as makemore.py's.

    Each is drawn from a standing start, or going on from the one before.
    """
    begin = partial(draw_lines, model, alphabet, max_length=longest, at_once=AT_ONCE)
    made = islice(begin(), batches) if going_on else (next(begin(seed=seed)) for seed in range(batches))
    return [text for batch in made for text in batch.texts]


def _about(lines: list[str]) -> str:
    return f"lines of {sum(map(len, lines)) / len(lines):.2f} symbols"
