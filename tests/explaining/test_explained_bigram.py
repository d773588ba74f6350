"""The bigram explained: figures against torch, plain Python, and what is published of the lectures' list."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from moreish.errors import ListError, UsageError
from moreish.explaining.bigram import convexity, walk
from moreish.explaining.bigram.likelihood import likelihood_of
from moreish.explaining.bigram.network import (
    choice_of,
    descent_of,
    exponentials_of,
    nats_of,
    probabilities_of,
    start,
)
from moreish.explaining.bigram.smoothing import STRENGTHS, add_k, decayed, smoothing_of
from moreish.explaining.bigram.table import table_of
from moreish.explaining.bigram.walk import Bigram, Told, explain_bigram, measured
from moreish.explaining.bigram.words import concluded, explained, underflow_words
from moreish.models.ngram import BigramConfig, NGram
from moreish.randomness import stream
from moreish.text.corpus import Corpus

TINY = Corpus.of(["ab", "ba", "abb", "aab", "b"])


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def table(corpus):
    return table_of(corpus)


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return explain_bigram(corpus)


def hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(walk, "STEPS", 120)
    patch.setattr(convexity, "MLP_STEPS", 120)


def pairs_of(corpus: Corpus) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs of a list's train part, the plain way."""
    before, after = [], []
    for line in corpus.train:
        ids = [0, *corpus.alphabet.encode(line), 0]
        before += ids[:-1]
        after += ids[1:]
    return torch.tensor(before), torch.tensor(after)


def test_the_table_and_its_loss_are_torchs_on_the_pairs_themselves(corpus, table):
    before, after = pairs_of(corpus)
    wanted = torch.zeros(table.counts.shape, dtype=torch.int64).index_put_((before, after), torch.tensor(1), True)
    assert np.array_equal(table.counts, wanted.numpy()) and table.positions == len(before)
    logs = torch.from_numpy(table.probabilities).log()
    assert table.nats(table.probabilities) == pytest.approx(F.nll_loss(logs[before], after).item(), abs=1e-12)
    assert nats_of(table, logs.clamp(min=-100)) == pytest.approx(table.nats(table.probabilities), abs=1e-9)


def test_on_the_lectures_list_the_losses_are_the_published(names):
    table = table_of(Corpus.read(names, split="none"))
    assert (table.positions, int((table.counts > 0).sum())) == (228_146, 627)
    assert round(table.nats(table.probabilities), 4) == 2.4540
    assert round(table.nats(add_k(table.counts, 1.0)), 4) == 2.4546


@pytest.mark.parametrize("name", ["minerals", "dinosaurs"])
def test_the_product_underflows_where_one_in_plain_python_does(name):
    corpus = Corpus.read(name)
    table = table_of(corpus)
    found = likelihood_of(table)
    p = table.probabilities
    wanted: dict[str, tuple[int, int]] = {}
    wide, narrow, logs = 1.0, np.float32(1.0), []
    symbol = 0
    for number, line in enumerate(corpus.train, start=1):
        ids = [0, *corpus.alphabet.encode(line), 0]
        for i, j in pairwise(ids):
            symbol += 1
            factor = float(p[i, j])
            wide *= factor
            narrow *= np.float32(factor)
            logs.append(math.log(factor))
            for precision, product in (("float64", wide), ("float32", narrow)):
                if product == 0:
                    wanted.setdefault(precision, (symbol, number))
    assert {each.precision: (each.at, each.in_line) for each in found.underflows} == wanted
    assert found.log == pytest.approx(math.fsum(logs), rel=1e-12) == -found.negative
    assert found.mean == pytest.approx(-math.fsum(logs) / symbol, rel=1e-12) and found.symbols == symbol
    assert found.log10 == pytest.approx(found.log / math.log(10), rel=1e-12)
    for each in found.underflows:
        assert each.digits_lost_at is not None and each.at is not None and each.digits_lost_at <= each.at
        about = torch.finfo(getattr(torch, each.precision))
        assert each.smallest_normal == about.smallest_normal and each.smallest == about.smallest_normal * about.eps
    for point in found.running:
        for underflow, held in zip(found.underflows, (point.float32, point.float64)):
            assert (held is None) == (point.symbols >= (underflow.at or math.inf))
        if point.float64 is not None and point.float64 > -300:
            assert point.float64 == pytest.approx(point.log10, abs=1e-9)


def test_a_short_list_does_not_underflow_and_that_is_said():
    found = likelihood_of(table_of(TINY))
    assert [each.at for each in found.underflows] == [None, None] == [each.in_line for each in found.underflows]
    assert "still above 0" in underflow_words(found.underflows[0])
    certain = likelihood_of(table_of(Corpus.of(["a"])))
    assert certain.log == certain.mean == certain.negative == 0 and math.copysign(1, certain.mean) == 1


def test_a_product_with_one_hot_chooses_a_row_exactly(table):
    weight = torch.randn(table.symbols, table.symbols, generator=stream(0, "test"))
    found = choice_of(table, weight)
    assert found.difference == found.gradient_difference == 0 and found.by_product == found.by_choice
    assert found.by_choice == weight[found.index, : len(found.by_choice)].tolist()
    one_hot = F.one_hot(torch.tensor([found.index]), table.symbols).float()
    assert torch.equal(one_hot @ weight, F.embedding(torch.tensor([found.index]), weight))
    assert found.multiplications == one_hot.numel() * weight.shape[1]
    weight[3, 5] = -torch.inf
    assert (torch.eye(table.symbols) @ weight).isnan().any(1).sum() == table.symbols - 1 == found.other_rows_broken


def test_descent_is_the_lectures_loop_over_all_pairs(corpus, table):
    model = start(table, 3)
    before, after = pairs_of(corpus)
    w = model.weight.detach().clone().requires_grad_()
    found = descent_of(table, model, 12)
    nats = []
    for _ in range(12):
        loss = F.cross_entropy(F.one_hot(before, table.symbols).float() @ w, after)
        nats.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, w)
        w = (w - found.rate * gradient).detach().requires_grad_()
    curve = {each.step: each.nats for each in found.curve}
    assert set(curve) >= {0, 1, 10, 12} and curve[0] == pytest.approx(math.log(table.symbols), abs=0.01)
    assert all(curve[step] == pytest.approx(nats[step], abs=1e-5) for step in curve if step < 12)
    assert curve[12] == found.nats == pytest.approx(nats_of(table, w.detach()), abs=1e-5)
    counted = table.nats(table.probabilities)
    assert all(each.above == pytest.approx(each.nats - counted) and each.above > 0 for each in found.curve)
    assert torch.allclose(model.weight, w, atol=1e-4)


def test_exponentials_of_the_closed_form_are_the_counts(table):
    logs = torch.from_numpy(np.log(np.maximum(table.counts, 1e-12))).float()
    found = exponentials_of(table, logs)
    assert found.difference < 1e-6 and found.closed_form < 1e-6
    for each in found.followers:
        assert each.exponential == pytest.approx(each.count, rel=1e-5)
    assert [each.count for each in found.followers] == sorted(table.counts[0].tolist(), reverse=True)[:6]
    off = logs.clone()
    i, j = 1, 2
    off[i, j] += 5
    found = exponentials_of(table, off)
    apart = np.abs(probabilities_of(off) - table.probabilities)
    assert found.difference == apart[i].max() and found.before == table.labels[i]
    assert found.mean == pytest.approx(apart[i].sum() / 2 * table.rows[i] / table.positions, abs=1e-6)


def test_add_1_is_the_models_smoothing(corpus, table):
    from moreish.models.counts import count_grams

    config = BigramConfig(symbols=table.symbols, smoothing="add-1")
    model = NGram.fit(config, count_grams(corpus.train, corpus.alphabet, 2))
    tokens = torch.arange(table.symbols)[:, None]
    assert np.allclose(model(tokens, model.begin(len(tokens)))[0][:, 0].exp().numpy(), add_k(table.counts, 1.0))


@pytest.mark.parametrize("decay", [0.001, 0.1, 10.0])
def test_weight_decays_minimum_is_where_autograd_finds_no_slope(table, decay):
    """The lecture's loss with its own form of the penalty."""
    before, after = (torch.from_numpy(ids.astype(np.int64)) for ids in (table.stream[:-1], table.stream[1:]))
    kappa = 2 * decay * table.positions / table.symbols**2
    for begin in (None, np.random.default_rng(0).normal(size=table.counts.shape)):
        w = torch.from_numpy(decayed(table.counts, kappa, begin)).requires_grad_()
        loss = F.cross_entropy(w[before], after) + decay * (w**2).mean()
        (gradient,) = torch.autograd.grad(loss, w)
        assert gradient.abs().max() < 1e-12
        assert w.sum(1).abs().max() < 1e-6, "so each row of W sums to 0"


def test_both_pull_as_far_and_are_not_the_same(table):
    found = smoothing_of(table)
    assert [each.k for each in found.strengths] == list(STRENGTHS)
    assert found.none.unseen == 0 and found.none.train == pytest.approx(table.nats(table.probabilities))
    last = found.none.distance
    for each in found.strengths:
        assert each.add_k.distance == pytest.approx(each.decayed.distance, abs=1e-9) and each.add_k.distance < last
        assert each.identity < 1e-9
        assert each.adds_least < 0 < each.adds_most
        kappa = 2 * each.weight_decay * table.positions / table.symbols**2
        w = torch.from_numpy(decayed(table.counts, kappa))
        assert each.decayed.train == pytest.approx(nats_of(table, w), abs=1e-9)
        assert each.decayed.dev == pytest.approx(table.nats(probabilities_of(w), table.dev), abs=1e-9)
        added = add_k(table.counts, each.k)
        assert each.furthest == pytest.approx(np.abs(probabilities_of(w) - added).max(), abs=1e-9)
        apart = torch.softmax(w, -1).sub(1 / table.symbols).abs().sum(1) / 2
        assert each.decayed.rare == pytest.approx(float(apart[table.labels.index(found.rare)]), abs=1e-9)
        last = each.add_k.distance
    assert max(each.furthest for each in found.strengths) > 0.05
    assert found.dev_reason and found.none.dev is None and "infinite" in found.dev_reason
    assert smoothing_of(table_of(TINY)).dev_reason == "the list has no dev part"


def test_it_comes_as_a_stream_and_the_same_each_time(monkeypatch):
    hurry(monkeypatch)
    once = list(measured(TINY, 5))
    assert [event.done for event in once if isinstance(event, Told)] == [1, 2, 3, 4]
    assert once[-1] == explain_bigram(TINY, 5) and once[-1] != explain_bigram(TINY, 6)
    assert isinstance(once[-1], Bigram) and json.dumps(once[-1].to_dict(), allow_nan=False)


def test_the_first_line_is_shown_pair_by_pair(corpus, table, found):
    ids = [0, *corpus.alphabet.encode(corpus.train[0]), 0]
    wanted = [(table.labels[i], table.labels[j], table.counts[i, j]) for i, j in pairwise(ids)]
    assert [(each.before, each.after, each.count) for each in found.example] == wanted[: walk.EXAMPLE_SYMBOLS]


def test_the_sentences_say_the_figures(found):
    words = explained(found)
    at = {each.precision: each.at for each in found.likelihood.underflows}
    assert f"0 after {at['float32']} symbols in float32" in words["likelihood"]
    assert f"{found.counted:.4f}" in words["table"] and f"{found.descent.rate:.3g}" in words["descent"]
    assert f"{found.bent.seeds.barrier:.3f}" in words["bent"] and "below the straight line" in words["convex"]
    bent = replace(found.bent, seeds=replace(found.bent.seeds, barrier=0.0), reordered=replace(
        found.bent.reordered, barrier=0.0))  # fmt: skip
    assert "too simple" in concluded(replace(found, bent=bent))[-1] != concluded(found)[-1]
    over = replace(found, convex=replace(found.convex, chord=-0.5))
    assert "above the straight line of their losses, by up to 5.0e-01" in explained(over)["convex"]
    swinging = replace(found, descent=replace(found.descent, rate=9.25))
    assert "9.25, for the lecture's 50 would swing" in explained(swinging)["descent"]
    alike = [replace(each, furthest=1e-6) for each in found.smoothing.strengths]
    assert "come to the same" in concluded(replace(found, smoothing=replace(found.smoothing, strengths=alike)))[2]


def test_too_many_symbols_and_seeds_that_are_none_are_refused():
    many = Corpus.of([chr(0x4E00 + i) for i in range(300)])
    with pytest.raises(ListError, match=r"301 symbols.*at most 256"):
        explain_bigram(many)
    with pytest.raises(UsageError, match="seed=-1"):
        explain_bigram(TINY, -1)
