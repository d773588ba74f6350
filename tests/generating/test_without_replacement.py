"""Distinct lines, held against draws without replacement from all lines there are, written down one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest
import torch

from moreish.errors import Impossible, UsageError
from moreish.generating import beam, without_replacement
from moreish.generating.beam import PathTree, Tree, highest
from moreish.generating.best import paths_under
from moreish.generating.chain import chain_of
from moreish.generating.constraints import Conditions, compile_conditions
from moreish.generating.paths import find_paths
from moreish.generating.sample import sample
from moreish.generating.without_replacement import Distinct, Perturbed, draw_distinct, draw_distinct_from
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Trained
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import checked_before, quick

TEXTS = ["ab", "abb", "ba", "b", "bab", "aab", "a"]
TIMES = 400
Z = 4.5
"""Deviations from what is expected that are not to be met; the seeds are fixed."""


@pytest.fixture(scope="module")
def counted() -> Trained:
    return quick(Corpus.of(TEXTS, split="none"), "ngram", order=3)


@pytest.fixture(scope="module")
def gru() -> Trained:
    return quick(Corpus.of(TEXTS, split="none"), "gru")


def chi_square(seen: Counter, expected: dict, times: int) -> float:
    """By how many deviations chi-square is off its mean; rare outcomes are taken together."""
    rare = {key for key, share in expected.items() if share * times < 5}
    cells = [(seen[key], share * times) for key, share in expected.items() if key not in rare]
    if rare:
        cells.append((sum(seen[key] for key in rare), sum(expected[key] for key in rare) * times))
    assert set(seen) <= set(expected)
    value = sum((got - mean) ** 2 / max(mean, 1e-9) for got, mean in cells)
    return (value - (len(cells) - 1)) / math.sqrt(2 * (len(cells) - 1))


def in_order(shares: dict[str, float], size: int) -> dict[tuple[str, ...], float]:
    """The probability of each row of `size` draws without replacement."""
    out = {}
    for row in permutations(shares, size):
        share, left = 1.0, 1.0
        for text in row:
            share, left = share * shares[text] / left, left - shares[text]
        out[row] = share
    return out


def check(draw: Callable[[int, torch.Generator], Distinct], shares: dict[str, float], nats: dict[str, float]) -> None:
    """All lines come once, with their nats and probabilities."""
    generator = torch.Generator().manual_seed(7)
    every = draw(len(shares), generator)
    assert sorted(every.texts) == sorted(shares) and not every.cut.any()
    assert len(draw(1000, generator).texts) == len(shares)
    assert every.nats == pytest.approx([nats[text] for text in every.texts], abs=1e-5)
    assert np.exp(every.log_probs) == pytest.approx([shares[text] for text in every.texts], abs=1e-6)


def check_draws(draw: Callable[[torch.Generator], Distinct], shares: dict[str, float]) -> None:
    """Pairs in their order, and which of the lines are among them, over many draws."""
    generator = torch.Generator().manual_seed(7)
    draw(generator)
    pairs, among = Counter(), Counter()
    with checked_before():
        for _ in range(TIMES):
            texts = draw(generator).texts
            pairs[tuple(texts[:2])] += 1
            among.update(texts)
    size = len(texts)
    assert chi_square(pairs, in_order(shares, 2), TIMES) < Z
    included = Counter()
    for row, share in in_order(shares, size).items():
        for text in row:
            included[text] += share
    for text, share in included.items():
        assert abs(among[text] - share * TIMES) < Z * math.sqrt(TIMES * share * (1 - share)) + 1, text


def shares_of(trained: Trained, texts: list[str], power: float = 1.0) -> tuple[dict[str, float], dict[str, float]]:
    """Each line's share of the probability of all of these, and its nats."""
    nats = line_nats(trained.model, trained.alphabet, Lines.of(texts))[0]
    weights = np.exp(-power * nats)
    return dict(zip(texts, (weights / weights.sum()).tolist())), dict(zip(texts, nats.tolist()))


def test_draws_under_conditions_are_those_without_replacement(counted):
    asked = Conditions(excludes=("bbb",), suffix="b")
    texts = ["".join(x) for size in (1, 2, 3) for x in product("ab", repeat=size)]
    texts = [text for text in texts if text.endswith("b") and text != "bbb"]
    paths = paths_under(counted, asked, 3)
    shares, nats = shares_of(counted, texts)
    check(lambda count, g: draw_distinct(paths, counted.alphabet, count, g), shares, nats)
    check_draws(lambda g: draw_distinct(paths, counted.alphabet, 4, g), shares)


def test_at_another_temperature_nats_are_still_the_models_own():
    trained = quick(Corpus.of(TEXTS, split="none"), "unigram")  # no symbol depends on another: shares are powers
    texts = ["".join(x) for x in product("ab", repeat=3)]
    compiled = compile_conditions(Conditions(length=(3, 3)), trained.alphabet, 3)
    paths = find_paths(chain_of(trained.model, (0.5, None, None, None)), compiled)
    check(lambda count, g: draw_distinct(paths, trained.alphabet, count, g), *shares_of(trained, texts, 2.0))


def test_draws_of_any_model_are_those_without_replacement(gru):
    most, generator = 3, torch.Generator().manual_seed(3)
    every = draw_distinct_from(gru.model, gru.alphabet, 1000, most, generator)
    assert len(set(every.texts)) == len(every.texts) == 14
    assert [len(text) == most for text in every.texts] == every.cut.tolist()
    ended = [text for text, cut in zip(every.texts, every.cut) if not cut]
    nats = line_nats(gru.model, gru.alphabet, Lines.of(ended))[0]
    assert every.nats[~every.cut] == pytest.approx(nats, abs=1e-5)
    assert np.exp(every.log_probs).sum() == pytest.approx(1.0)
    empty = np.exp(-gru.model.target_nats(*torch.zeros(2, 1, 1, dtype=torch.long), gru.model.begin(1)).item())
    assert every.log_probs[~every.cut] == pytest.approx(-nats - math.log(1 - empty), abs=1e-5)
    shares = dict(zip(every.texts, np.exp(every.log_probs).tolist()))
    check_draws(lambda g: draw_distinct_from(gru.model, gru.alphabet, 2, most, g), shares)


def test_a_prefix_is_what_all_begin_with_and_counts_in_the_nats(gru):
    made = draw_distinct_from(gru.model, gru.alphabet, 1000, 3, torch.Generator().manual_seed(1), prefix="b")
    assert sorted(made.texts) == ["b", "ba", "baa", "bab", "bb", "bba", "bbb"]
    nats = line_nats(gru.model, gru.alphabet, Lines.of([x for x in made.texts if len(x) < 3]))[0]
    assert made.nats[~made.cut] == pytest.approx(nats, abs=1e-5)
    assert np.exp(made.log_probs).sum() == pytest.approx(1.0)


class Row(Tree):
    """The same choice over and over, side by side."""

    symbols = 4
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2], dtype=torch.float64)

    def scores(self, first: int, end: int, own: torch.Tensor) -> torch.Tensor:
        return self.probs.log().expand(end - first, -1).clone()

    def follow(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        raise AssertionError("is not asked")


def test_noise_at_one_choice_orders_it_as_draws_without_replacement():
    times = 20_000
    own = torch.linspace(-30, 30, times, dtype=torch.float64)
    scores = Perturbed(Row(), torch.Generator().manual_seed(2)).scores(0, times, own)
    assert torch.allclose(scores.amax(1), own, rtol=0, atol=1e-12) and bool((scores[:, 1] == -torch.inf).all())
    seen = Counter(tuple(map(str, row[:3])) for row in scores.argsort(1, descending=True).tolist())
    shares = {str(i): float(p) for i, p in enumerate(Row.probs) if p}
    assert chi_square(seen, in_order(shares, 3), times) < Z


def test_lines_read_a_few_at_a_time_are_the_same(counted, gru, monkeypatch):
    paths = paths_under(counted, Conditions(), 6)
    exact = highest(PathTree(paths.best), 20)
    monkeypatch.setattr(beam, "CELLS_AT_ONCE", 9)  # three lines
    few = highest(PathTree(paths.best), 20)
    assert torch.equal(few.ids, exact.ids) and torch.equal(few.scores, exact.scores)
    made = draw_distinct_from(gru.model, gru.alphabet, 1000, 4, torch.Generator().manual_seed(1))
    nats = line_nats(gru.model, gru.alphabet, Lines.of([x for x, cut in zip(made.texts, made.cut) if not cut]))[0]
    assert made.nats[~made.cut] == pytest.approx(nats, abs=1e-5) and len(set(made.texts)) == 30


def test_the_same_seed_gives_the_same_lines_and_the_noise_of_a_line_is_the_largest_below_it(counted):
    paths = paths_under(counted, Conditions(), 4)
    one, two = (draw_distinct(paths, counted.alphabet, 9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.texts == two.texts
    tree = Perturbed(PathTree(paths.sums), torch.Generator().manual_seed(5))
    own = torch.tensor([0.25], dtype=torch.float64)
    assert float(tree.scores(0, 1, own).amax()) == pytest.approx(0.25)


def test_what_cannot_be_drawn(counted, gru):
    generator = torch.Generator().manual_seed(1)
    plain = quick(Corpus.of(["ab", "ba"], split="none"), "ngram", smoothing="none", order=3)
    with pytest.raises(Impossible, match="never saw"):
        draw_distinct(paths_under(plain, Conditions(prefix="aa"), 4), plain.alphabet, 3, generator)
    with pytest.raises(Impossible, match="begin with 'aa'"):
        draw_distinct_from(plain.model, plain.alphabet, 3, 9, generator, prefix="aa")
    with pytest.raises(UsageError, match="too much memory"):
        draw_distinct_from(gru.model, gru.alphabet, 10**8, 9, generator)
    with pytest.raises(UsageError, match="at most 2"):
        draw_distinct_from(gru.model, gru.alphabet, 5, 2, generator, prefix="ab")


def test_looking_for_new_lines_stops_at_what_fits_in_memory(counted, monkeypatch):
    monkeypatch.setattr(without_replacement, "MOST_CELLS", 12 * 3)
    found = sample(counted, 10, new_only=True, without_replacement=True)
    assert found.drawn <= 12 and 0 < found.found < 10
    assert all(line.text not in TEXTS for line in found.lines)
    with pytest.raises(UsageError, match="Ask for 12 at most"):
        sample(counted, 13, without_replacement=True)
