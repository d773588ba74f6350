"""Minibatches: every line once a pass, the lectures' windows, and nothing learnt from padding."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from moreish.learning.batches import Batches
from moreish.models.catalog import MODELS
from moreish.ops.loss import cross_entropy
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines

chooser = random.Random(1)
TEXTS = ["".join(chooser.choices("abcd", k=chooser.randint(1, 9))) for _ in range(53)]
LINES = Lines.of(TEXTS)
ALPHABET = Alphabet.of(LINES)
READERS = [name for name, entry in MODELS.items() if entry.learns_by_gradient and name not in ("mlp-bn", "tree")]
"""Networks whose batch does not change what a line is given: not those with BatchNorm."""


def batches(size: int = 8, seed: int = 0) -> Batches:
    return Batches(LINES, ALPHABET, size, seed)


def as_texts(batch) -> list[str]:
    """A batch's lines, in words, checked against their targets."""
    out, at = [], 0
    for length in batch.lengths.tolist():
        tokens, targets = (part[at : at + length].tolist() for part in (batch.tokens, batch.targets))
        assert tokens[0] == 0 == targets[-1] and tokens[1:] == targets[:-1]
        out.append(ALPHABET.decode(tokens[1:]))
        at += length
    assert at == len(batch.tokens) == len(batch.targets)
    return out


def test_each_pass_has_every_line_once_but_for_a_last_batch_that_is_not_full():
    there = batches()
    assert (there.lines, there.passes_are) == (53, 6) and there.symbols == sum(map(len, TEXTS)) + 53
    for epoch in range(3):
        seen = [text for turn in range(6) for text in as_texts(there.at(6 * epoch + turn))]
        assert len(seen) == 48 and not [text for text in seen if seen.count(text) > TEXTS.count(text)]


def test_the_seed_and_the_step_decide_a_batch_and_nothing_else_does():
    one, other = batches(), batches()
    for step in (20, 3, 4, 0):
        assert as_texts(one.at(step)) == as_texts(other.at(step))
    assert as_texts(one.at(5)) == as_texts(batches().at(5)) != as_texts(batches(seed=1).at(5))
    assert torch.equal(one.windows_at(7, 3).windows, batches().windows_at(7, 3).windows)


def test_a_list_shorter_than_a_batch_comes_whole():
    there = batches(size=1000)
    assert there.passes_are == 1 and sorted(as_texts(there.at(4))) == sorted(TEXTS)


def test_lines_come_longest_first():
    lengths = batches().at(0).lengths.tolist()
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("context", [1, 2, 3, 8, 30])
def test_windows_are_the_lectures(context):
    windows, targets = [], []  # makemore part 2: build_dataset
    for text in TEXTS:
        window = [0] * context
        for i in [*ALPHABET.encode(text), 0]:
            windows.append(list(window))
            targets.append(i)
            window = [*window, i][1:] if context > 1 else [i]
    there = batches()
    found = there.windows_of(np.arange(there.symbols), context)
    assert found.windows.tolist() == windows and found.targets.tolist() == targets


def test_windows_at_random_are_of_the_text():
    there = batches(size=4000)
    every = there.windows_of(np.arange(there.symbols), 3)
    drawn = there.windows_at(0, 3)
    possible = {(*w, t) for w, t in zip(every.windows.tolist(), every.targets.tolist())}
    assert {(*w, t) for w, t in zip(drawn.windows.tolist(), drawn.targets.tolist())} == possible


@pytest.mark.parametrize("name", READERS)
def test_lines_without_padding_give_the_loss_and_gradient_of_padded_rows(name):
    model = MODELS[name](symbols=len(ALPHABET), seed=0).double().eval()
    batch = batches().at(0)
    longest = int(batch.lengths.max())
    inside = torch.arange(longest) < batch.lengths[:, None]
    tokens, targets = torch.zeros(inside.shape, dtype=torch.long), torch.full(inside.shape, -1)
    tokens[inside], targets[inside] = batch.tokens, batch.targets
    padded, _ = model(tokens, model.begin(len(tokens)))
    losses = (
        cross_entropy(padded.reshape(-1, padded.shape[-1]), targets.reshape(-1)),
        cross_entropy(model.read_lines(batch.tokens, batch.lengths), batch.targets),
    )
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in losses]
    assert abs(losses[0] - losses[1]).item() < 1e-12
    for a, b in zip(*gradients):
        assert (a is None) == (b is None) and (a is None or torch.allclose(a, b, rtol=0, atol=1e-12))
