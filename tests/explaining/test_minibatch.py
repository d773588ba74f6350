"""Minibatch gradients against the full one: held against every example's gradient by autograd in float64."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from moreish.explaining.minibatch import minibatch as page
from moreish.explaining.minibatch import noise as noise_page
from moreish.explaining.minibatch import race as race_page
from moreish.explaining.minibatch.minibatch import Minibatch, Told, explain_minibatch, measured
from moreish.explaining.minibatch.noise import SIZES, _estimated, exact, example_squares, noise_of
from moreish.explaining.minibatch.population import Population
from moreish.explaining.minibatch.race import full_curve
from moreish.explaining.minibatch.words import concluded, explained, reached
from moreish.learning.batches import Batches
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin
from moreish.models.mlp import MLP, MLPConfig
from moreish.randomness import stream
from moreish.text.corpus import Corpus

LINES = ["anna", "eva", "otto", "aaaa", "noel", "lena", "toto", "ea"]
CONTEXT = 3


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of(LINES * 3)


@pytest.fixture(scope="module")
def population(corpus):
    return Population.of(Batches(corpus.train, corpus.alphabet, 4, 0), CONTEXT, len(corpus.alphabet))


def network(corpus, seed: int = 0) -> MLP:
    """A small one in float64, away from where it began, so that no layer's gradient is next to nothing."""
    model = MLP(MLPConfig(len(corpus.alphabet), context=CONTEXT, embedding=4, hidden=6), seed=seed).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=stream(seed, "away"), dtype=torch.float64))
    return model


def each_gradient(model: MLP, population: Population) -> torch.Tensor:
    """Every example's own gradient, one after the other, by autograd through plain torch: [N, W]."""
    rows = []
    first, output = model.hidden[0], model.output
    for window, target in zip(population.every.windows, population.every.targets):
        x = F.embedding(window[None], model.embedding.weight).flatten(1)
        logits = F.linear(torch.tanh(F.linear(x, first.weight, first.bias)), output.weight, output.bias)
        gradients = torch.autograd.grad(F.cross_entropy(logits, target[None]), list(model.parameters()))
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_squared_norms_are_those_of_each_examples_own_gradient(corpus, population, seed):
    model = network(corpus, seed)
    wanted = each_gradient(model, population).square().sum(1)
    assert any(len(set(window)) < CONTEXT for window in population.every.windows.tolist())  # a symbol that comes twice
    got = example_squares(model, population.every.windows, population.every.targets)
    assert torch.allclose(got, wanted, rtol=1e-10, atol=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_full_gradient_and_the_trace_are_those_of_numpys_covariance(corpus, population, seed):
    model = network(corpus, seed)
    rows = each_gradient(model, population).numpy()
    gradient, trace = exact(model, population)
    # float32 shares of the windows: their rounding stays
    assert np.allclose(gradient.numpy(), rows.mean(0), rtol=0, atol=1e-7 * np.abs(rows).max())
    assert trace == pytest.approx(np.trace(np.cov(rows.T, ddof=0)), rel=1e-6)


def test_over_all_batches_of_one_and_two_the_expected_spread_is_the_measured_one(corpus, population):
    """Every batch that could be drawn, not some: so there is no chance in it."""
    model = network(corpus)
    rows = each_gradient(model, population)
    gradient, trace = exact(model, population)
    norm = float(rows.mean(0).norm())
    pairs = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(rows)))
    for n, drawn in ((1, rows), (2, (rows[pairs[:, 0]] + rows[pairs[:, 1]]) / 2)):
        spread = float((drawn - rows.mean(0)).square().sum(1).mean().sqrt()) / norm
        assert math.sqrt(trace / float(gradient.norm()) ** 2 / n) == pytest.approx(spread, rel=1e-6)


def training_of(corpus, batch: int = 4):
    recipe = Recipe(
        "mlp", {"context": CONTEXT, "embedding": 4, "hidden": 6}, method="minibatches", steps=50, lr=0.3,
        optimizer="sgd", batch=batch, batch_of="windows",
    )  # fmt: skip
    training = begin(recipe, corpus.train, corpus.alphabet)
    for _ in range(20):
        training.advance()
    return training


def test_angle_spread_and_noise_scale_are_those_worked_out_from_each_examples_gradient(corpus, population):
    training = training_of(corpus)
    before = [p.clone() for p in training.model.parameters()]
    found = noise_of(training, population, [1, 4, 16], stream(3, "draws"))
    assert all(torch.equal(p, q) for p, q in zip(training.model.parameters(), before))
    model = MLP(training.model.config).double()
    model.load_state_dict({name: t.double() for name, t in training.model.state_dict().items()})
    rows = each_gradient(model, population).numpy()
    full = rows.mean(0)
    trace = ((rows - full) ** 2).sum(1).mean()
    assert found.gradient_norm == pytest.approx(np.linalg.norm(full), rel=1e-5)
    assert found.noise_scale == pytest.approx(trace / (full @ full), rel=1e-5)
    draw = stream(3, "draws")
    for size in found.batches:
        at = [torch.randint(len(rows), (size.batch,), generator=draw).numpy() for _ in range(size.draws)]
        drawn = np.stack([rows[some].mean(0) for some in at])
        cosines = drawn @ full / np.linalg.norm(drawn, axis=1) / np.linalg.norm(full)
        degrees = np.degrees(np.arccos(cosines))
        spreads = np.linalg.norm(drawn - full, axis=1) / np.linalg.norm(full)
        assert size.cosine.value == pytest.approx(cosines.mean(), abs=1e-5)
        assert size.degrees.value == pytest.approx(degrees.mean(), abs=1e-3)
        assert (size.degrees.low, size.degrees.high) == pytest.approx(
            tuple(np.percentile(degrees, [2.5, 97.5])), abs=1e-3
        )
        assert size.spread.value == pytest.approx(np.sqrt((spreads**2).mean()), rel=1e-5)
        assert size.along == pytest.approx((drawn @ full).mean() / (full @ full), rel=1e-4)
        assert size.expected_cosine == pytest.approx(1 / math.sqrt(1 + found.noise_scale / size.batch))
    spreads = [math.log(size.spread.value) for size in found.batches]
    assert found.slope == pytest.approx(np.polyfit(np.log([1, 4, 16]), spreads, 1)[0], abs=1e-6)


@pytest.mark.parametrize("square, trace", [(1.0, 50.0), (0.02, 3.0), (7.0, 0.5)])
def test_two_batch_sizes_give_the_noise_scale_back_where_there_is_no_chance(square, trace):
    """McCandlish et al. 2018, appendix A.1: E|g|^2 = |G|^2 + tr(S) / n, of which both parts follow from two sizes."""
    means = {n: square + trace / n for n in (1, 32, 64, 1024, 4096)}
    assert _estimated(means) == pytest.approx(trace / square)
    assert _estimated({32: 1.0}) is None and _estimated({1: 3.0, 1024: 1.0}) is None
    assert _estimated({32: 1.0, 64: 2.0}) is None  # by chance the larger is the longer: nothing follows


def test_the_loss_of_distinct_windows_is_that_of_all_and_so_is_a_full_step(corpus, population):
    training = training_of(corpus)
    every = population.every
    assert len(population.pairs.targets) < len(population)
    plain = F.cross_entropy(training.model.score(every.windows), every.targets)
    assert population.loss(training.model) == pytest.approx(plain.item(), rel=1e-6)
    curve = full_curve(training, population, population, 0.7)
    assert curve.points[-1].symbols == len(population) * curve.points[-1].step
    model = training_of(corpus).model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.7)
    for point in curve.points:
        loss = F.cross_entropy(model.score(every.windows), every.targets)
        assert point.nats == pytest.approx(loss.item(), abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_rate_that_explodes_has_no_curve(corpus, population):
    assert full_curve(training_of(corpus), population, population, 1e30).points == []


def hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(page, "MOMENTS", (0, 20))
    patch.setattr(page, "RACE_SECONDS", 0.1)
    patch.setattr(noise_page, "MOST_DRAWS", 8)
    patch.setattr(noise_page, "LEAST_DRAWS", 4)
    patch.setattr(noise_page, "EXAMPLES_DRAWN", 1 << 12)
    patch.setattr(race_page, "FULL_STEPS", 3)
    patch.setattr(race_page, "FULL_RATES", (0.1, 1.0))
    patch.setattr(race_page, "COST_SECONDS", 0.01)
    patch.setattr(race_page, "TURNS", 4)
    patch.setattr(race_page, "HALVINGS", 3)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        events = list(measured(Corpus.read("minerals")))
        again = explain_minibatch(Corpus.read("minerals"))
        *told, last = events
        assert all(isinstance(each, Told) and each.done <= each.total for each in told)
        assert [each.done for each in told] == sorted(each.done for each in told)
        assert isinstance(last, Minibatch)
        first, second = last.to_dict(), again.to_dict()
        assert first.pop("seconds") and second.pop("seconds")
        assert first == second
        return last


def test_what_is_found_fits_together_and_is_plain_json(found):
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    assert found.part == "dev" and found.whole and not found.reasons
    corpus = Corpus.read("minerals")
    assert found.symbols == sum(len(line) + 1 for line in corpus.train)
    assert [size.batch for size in found.moments[0].noise.batches] == [n for n in SIZES if n < found.symbols]
    small, full = found.curves
    assert (small.batch, small.full, full.batch, full.full) == (32, False, found.symbols, True)
    assert small.points[0].nats == full.points[0].nats  # they begin alike
    assert full.lr == min((r for r in found.rates if r.nats is not None), key=lambda rate: rate.nats).lr


def test_both_sides_of_the_race_learn_for_the_same_time(found):
    for side in found.seconds.race:
        seconds = [point.seconds for point in side.points]
        assert seconds == sorted(seconds) and seconds[-1] >= found.seconds.each
        assert side.points[-1].step == side.steps
        assert seconds[-2] < found.seconds.each  # nobody goes on once the time is over
    assert found.seconds.costs[-1].full and found.seconds.costs[-1].batch == found.symbols


@pytest.mark.parametrize("lines", [["a"], ["ab", "ba"], ["anna", "eva", "otto"] * 4])
def test_a_list_too_short_for_a_race_says_so_and_shows_no_zero(lines, monkeypatch):
    hurry(monkeypatch)
    found = explain_minibatch(Corpus.of(lines))
    assert found.part == "train" and found.seconds is None and found.curves == [] and found.rates == []
    assert set(found.reasons) == {"rates", "curves", "seconds"}
    assert any(line.startswith("No race: the list has") for line in concluded(found))
    assert all(size.batch < found.symbols for moment in found.moments for size in moment.noise.batches)


def test_a_long_list_is_stood_for_by_lines_drawn_at_random(monkeypatch):
    hurry(monkeypatch)
    monkeypatch.setattr(page, "POSITIONS", 500)
    found = explain_minibatch(Corpus.read("minerals"))
    assert not found.whole and 450 < found.symbols <= 500


def ended(found: Minibatch, ours: float, theirs: float, last: float) -> str:
    """What is said of a race whose sides came to these losses."""
    small, full = found.seconds.race
    points = [[replace(side.points[0], nats=9.0), replace(side.points[0], nats=best)] for side, best in
              ((small, ours), (full, theirs))]  # fmt: skip
    points[1].append(replace(full.points[-1], nats=last))
    race = [replace(side, points=each) for side, each in zip((small, full), points)]
    (line,) = [s for s in concluded(replace(found, seconds=replace(found.seconds, race=race))) if "Equal time" in s]
    return line


@pytest.mark.parametrize(
    "ours, theirs, last, words",
    [
        (2.0, 2.5, 2.5, "more steps win"),
        (2.5, 2.0, 2.0, "the full batch wins"),
        (2.0, 2.001, 2.001, "a draw"),
        (2.0, 2.5, 2.9, "it overfits"),
    ],
)
def test_the_verdict_follows_from_the_losses(found, ours, theirs, last, words):
    said = ended(found, ours, theirs, last)
    assert words in said and f"{ours:.3f}" in said and f"{theirs:.3f}" in said
    assert ("overfits" in said) == (last > theirs + 0.1)


def test_the_sentences_carry_the_measured_numbers(found):
    said = explained(found)
    assert f"{found.moments[0].noise.slope:.3f}" in said["spread"]
    text = " ".join(concluded(found))
    assert f"{found.moments[-1].noise.noise_scale:,.0f}" in text
    pair = reached(found)
    assert pair is None or f"{pair[0]:,} symbols" in text
