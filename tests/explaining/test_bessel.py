"""Bessel's correction: divisors found out of layers, figures that theory knows, and sentences that follow from them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from moreish.errors import ListError, UsageError
from moreish.explaining.bessel import correction as page
from moreish.explaining.bessel import measures as bessel_measures
from moreish.explaining.bessel.correction import SIZES, Bessel, Gain, Told, bessel, measured
from moreish.explaining.bessel.divisors import LESS, WAYS, N, conventions, divisors
from moreish.explaining.bessel.measures import DIVISORS, Divided, Network, evaluated
from moreish.explaining.bessel.words import WORTH, best, concluded, explained, matching
from moreish.learning.batches import Batches
from moreish.ops.normalize import EPSILON, batch_norm
from moreish.randomness import stream
from moreish.text.corpus import Corpus


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "STEPS", 20)
        patch.setattr(page, "SEEDS", 2)
        patch.setattr(bessel_measures, "DRAWN", 1 << 16)
        patch.setattr(bessel_measures, "AT_ONCE", 1 << 15)
        return bessel(corpus)


def given(rows: int = 6, width: int = 4) -> torch.Tensor:
    return torch.randn(rows, width, generator=stream(rows, "given"), dtype=torch.float64) * 3 + 1


def test_torchs_divisors_are_those_of_numpys_variances():
    """What `divisors` says of nn.BatchNorm1d, held against numpy."""
    x = given()
    layer = nn.BatchNorm1d(4, momentum=1.0, dtype=torch.float64)
    y = layer(x).detach().numpy()
    named = {c.who: (c.batch, c.stored, c.evaluation) for c in conventions()}
    ddof = {N: 0, LESS: 1}
    batch, stored, evaluation = (np.var(x.numpy(), axis=0, ddof=ddof[name]) for name in named["torch"])
    centred = x.numpy() - x.numpy().mean(0)
    assert np.allclose(y, centred / np.sqrt(batch + layer.eps), atol=1e-12)
    assert np.allclose(layer.running_var.numpy(), stored, atol=1e-12)
    in_evaluation = layer.eval()(x).detach().numpy()
    assert np.allclose(in_evaluation, centred / np.sqrt(evaluation + layer.eps), atol=1e-12)


def test_ours_is_torchs_and_the_papers_and_the_lecture_takes_one_everywhere():
    named = {c.who: (c.batch, c.stored, c.evaluation) for c in conventions()}
    assert set(named) == set(WAYS) == {"torch", "paper", "lecture", "moreish"}
    assert named["moreish"] == named["torch"] == named["paper"]
    assert len(set(named["lecture"])) == 1 and named["lecture"] != named["torch"]
    for each in conventions():
        for name, divisor in zip((each.batch, each.stored, each.evaluation), each.divisors):
            assert divisor == pytest.approx(each.rows - (name == LESS), abs=1e-9)


class Odd:
    """A layer that divides by n - `taken` in the batch and stores, and evaluates by, other variances still."""

    def __init__(self, taken: float, kept: float, used: float):
        self.taken, self.kept, self.used = taken, kept, used
        self.x = torch.zeros(0)

    def _by(self, taken: float) -> torch.Tensor:
        return (self.x - self.x.mean(0)).square().sum(0) / (len(self.x) - taken)

    def learn(self, x):
        self.x = x
        return (x - x.mean(0)) / torch.sqrt(self._by(self.taken) + EPSILON)

    def stored(self):
        return self._by(self.kept)

    def evaluate(self, x):
        return (x - self.x.mean(0)) / torch.sqrt(self._by(self.used) + EPSILON)


@pytest.mark.parametrize("taken", [(0, 0, 0), (1, 0, 2), (-1, 0.5, 1)])
def test_any_divisor_is_found(taken):
    assert divisors(Odd(*taken)) == pytest.approx([5 - each for each in taken], abs=1e-9)


def test_a_layer_that_divides_by_neither_is_called_so(monkeypatch):
    monkeypatch.setitem(WAYS, "odd", (lambda: Odd(2, 0, 1), "", ""))
    odd = conventions()[-1]
    assert (odd.batch, odd.stored, odd.evaluation) == ("neither", N, LESS)


@pytest.mark.parametrize("correction", [0, 1])
def test_the_network_divides_by_what_it_is_told(correction):
    x, norm = given().float(), Divided(4, correction)
    wanted = (x - x.mean(0)) / torch.sqrt(x.var(0, correction=correction) + EPSILON)
    assert torch.allclose(norm(x), wanted, atol=1e-5)
    norm.eval()
    assert torch.allclose(norm(x), x / math.sqrt(1 + EPSILON)), "what is set from outside, here 0 and 1"


def test_evaluation_goes_by_the_stored_variance(corpus):
    """The losses of both stored variances are those of torch's layer with these running statistics."""
    network = Network(len(corpus.alphabet), 0, 3)
    batches = Batches(corpus.train, corpus.alphabet, 1, 0)
    windows = batches.windows_of(np.arange(3000), 3)
    results = evaluated(network, windows, windows, 8, 0)
    rows = torch.randint(3000, (bessel_measures.CALIBRATION,), generator=stream(0, "bessel/stored/8"))
    x = network.before(windows)[rows]
    for name, (nats, _) in results.items():
        layer = nn.BatchNorm1d(bessel_measures.HIDDEN).eval()
        layer.running_mean = x.mean(0)
        layer.running_var = x.view(-1, 8, x.shape[1]).var(1, correction=DIVISORS[name]).mean(0)
        logits = network.after(layer(network.before(windows)))
        assert nats == pytest.approx(nn.functional.cross_entropy(logits, windows.targets).item(), abs=1e-5)
    assert results[N][1] / results[LESS][1] == pytest.approx(math.sqrt(8 / 7), rel=1e-4)


def test_figures_are_those_of_theory(found):
    assert tuple(size.batch for size in found.batches) == SIZES == (2, 8, 32, 256)
    for size in found.batches:
        n = size.batch
        assert size.ratio == n / (n - 1)
        assert abs(size.bias_n_minus_1) < 4 * size.bias_error < 0.05
        assert abs(size.bias_n + 1 / n) < 4 * size.bias_error
        assert size.bias_deviation < size.bias_n_minus_1, "the root of a mean is above the mean of roots"
        assert size.activation == pytest.approx(math.sqrt((n - 1) / n), rel=2e-3)
        pairs = {(pair.batch, pair.stored): pair for pair in size.loss}
        assert set(pairs) == {(a, b) for a in DIVISORS for b in DIVISORS}
        for batch in DIVISORS:
            sizes = pairs[batch, N].activation / pairs[batch, LESS].activation
            assert sizes == pytest.approx(math.sqrt(n / (n - 1)), rel=1e-3)
        assert all(0.5 < pair.nats < 5 for pair in size.loss)
        assert size.stored_gain.of == 4 and size.batch_gain.of == 2
        both = np.mean([pairs[batch, N].nats - pairs[batch, LESS].nats for batch in DIVISORS])
        assert size.stored_gain.nats == pytest.approx(both, abs=1e-9)
        assert size.batch_gain.nats == pytest.approx(pairs[N, LESS].nats - pairs[LESS, LESS].nats, abs=1e-9)
    through = [size.gradient_through for size in found.batches]
    assert through == sorted(through) and through[0] < 0.2 and through[-1] > 0.9


def test_of_two_rows_no_gradient_passes():
    """As the sentence says: both are normalised to 1 and -1, whatever they were."""
    x = given(2).requires_grad_()
    y = batch_norm(x, torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64), epsilon=1e-30)
    assert (y.abs() - 1).abs().max() < 1e-12
    (dx,) = torch.autograd.grad((given(2, 4) * y).sum(), x)
    assert dx.abs().max() < 1e-12


def test_the_same_seed_gives_the_same_figures_and_another_others(corpus, monkeypatch):
    monkeypatch.setattr(page, "STEPS", 3)
    monkeypatch.setattr(page, "SEEDS", 1)
    monkeypatch.setattr(page, "SIZES", (2, 16))
    monkeypatch.setattr(bessel_measures, "DRAWN", 1 << 12)
    monkeypatch.setattr(bessel_measures, "AT_ONCE", 1 << 12)
    once = list(measured(corpus, 5))
    assert once == list(measured(corpus, 5)) and once[-1] != bessel(corpus, 6)
    told = [(event.done, event.total) for event in once if isinstance(event, Told)]
    assert told == [(i, 4) for i in range(4)] and isinstance(once[-1], Bessel)


def test_a_list_without_a_dev_part_is_measured_on_what_it_learns(monkeypatch):
    monkeypatch.setattr(page, "STEPS", 1)
    monkeypatch.setattr(page, "SEEDS", 1)
    monkeypatch.setattr(page, "SIZES", (2,))
    monkeypatch.setattr(bessel_measures, "DRAWN", bessel_measures.AT_ONCE)
    short = Corpus.of([f"{a}{b}{c}" for a in "abcde" for b in "klm" for c in "xyz"])
    assert short.kfold and bessel(short).part == "train"


def test_lists_too_short_and_seeds_that_are_none_are_refused(corpus):
    with pytest.raises(ListError, match="8 symbols to learn from, fewer than the largest batch, 256"):
        bessel(Corpus.of(["ana", "eva"]))
    with pytest.raises(ListError, match=r"two windows of 3 symbols in it are the same in 9\d %"):
        bessel(Corpus.of(["a" * n for n in range(100, 140)]))
    with pytest.raises(UsageError, match="seed=-1"):
        bessel(corpus, -1)


def gaining(found: Bessel, stored: list[Gain], in_batch: list[Gain]) -> Bessel:
    sizes = zip(found.batches, stored, in_batch)
    return replace(found, batches=[replace(s, stored_gain=a, batch_gain=b) for s, a, b in sizes])


NOTHING = Gain(0.0001, 4, 4)
STORED = {
    "gains": ([Gain(0.08, 4, 4), Gain(0.002, 4, 4), NOTHING, NOTHING],
              "Stored: n - 1. Against n, n - 1 gains 0.0800 nats in batches of 2, gains 0.0020 nats in batches of 8; "
              "in batches of 32 and 256 the choice"),
    "costs": ([Gain(-0.05, 0, 4), NOTHING, NOTHING, NOTHING],
              "Stored: n. Against n, n - 1 costs 0.0500 nats in batches of 2; in batches of 8, 32 and 256"),
    "both": ([Gain(0.05, 4, 4), Gain(-0.05, 0, 4), NOTHING, NOTHING], "Stored: it depends."),
    "unsure": ([Gain(0.05, 3, 4), NOTHING, NOTHING, NOTHING], "Stored: either."),
    "all": ([Gain(0.05, 4, 4)] * 4, "gains 0.0500 nats in batches of 256."),
}  # fmt: skip


@pytest.mark.parametrize("case", STORED)
def test_the_conclusion_on_what_is_stored_follows_from_its_gains(found, case):
    gains, words = STORED[case]
    assert words in concluded(gaining(found, gains, [NOTHING] * 4))[0]


def test_the_conclusion_on_batches_follows_from_its_gains(found):
    unsure = [Gain(-0.03, 1, 3), NOTHING, NOTHING, NOTHING]
    said = concluded(gaining(found, unsure, unsure))[1]
    assert "In the batch: either." in said and "costs 0.0300 nats in batches of 2, and it gains in 1 of 3" in said
    sure = [Gain(0.03, 3, 3), NOTHING, NOTHING, NOTHING]
    assert "In the batch: n - 1 gains 0.0300 nats in batches of 2" in concluded(gaining(found, sure, sure))[1]
    assert NOTHING.nats < WORTH


def test_the_conclusion_on_both_follows_from_the_sizes(found):
    for size in found.batches:
        assert (matching(size).batch, matching(size).stored) == (N, LESS)
        assert best(size).nats == min(pair.nats for pair in size.loss)
    assert "n in the batch with n - 1 stored is no contradiction" in concluded(found)[2]
    first = found.batches[0]
    turned = replace(first, loss=[replace(p, activation=1.0 if p.batch == p.stored == N else 3.0) for p in first.loss])
    said = concluded(replace(found, batches=[turned, *found.batches[1:]]))[2]
    assert "it is n in the batch and n stored" in said
    for least in first.loss:
        worse = replace(first, loss=[replace(p, nats=p.nats + (p is not least)) for p in first.loss])
        said = concluded(replace(found, batches=[worse, *found.batches[1:]]))[2]
        named = f"The least loss there is that of {least.batch} in the batch and {least.stored} stored."
        assert (named in said) == ((least.batch, least.stored) != (N, LESS))


def test_every_figure_has_its_sentence_with_its_numbers(found):
    words = explained(found)
    assert set(words) == {"ratio", "bias", "activation", "gradient", "loss", "size"}
    first, last = found.batches[0], found.batches[-1]
    assert f"{-100 * first.bias_n:.1f} %" in words["bias"] and f"{-100 * last.bias_n:.1f} %" in words["bias"]
    assert f"{first.activation:.3f}" in words["activation"] and f"{last.activation:.3f}" in words["activation"]
    assert f"{100 * first.gradient_through:.1f} %" in words["gradient"]
    assert found.part in words["loss"] and str(found.steps) in words["loss"]


def test_json_is_strict(found):
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict() | {
        "conventions": [each | {"divisors": list(each["divisors"])} for each in found.to_dict()["conventions"]]
    }
    unknown = replace(found.conventions[0], divisors=(5.0, math.nan, 4.0))
    assert replace(found, conventions=[unknown]).to_dict()["conventions"][0]["divisors"] == [5.0, None, 4.0]
