"""`explain batchnorm`: the truth table against torch, the faults against direct computation, sentences that follow."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hurried import hurry_batchnorm
from moreish.errors import ListError, UsageError
from moreish.explaining.batchnorm import faults, truth
from moreish.explaining.batchnorm.chapter import BatchNormFound, Told, explain_batchnorm, measured
from moreish.explaining.batchnorm.faults import padded_windows
from moreish.explaining.batchnorm.layers import FirstAxis, Mended
from moreish.explaining.batchnorm.lessons import CONTEXT, learn, parts_of
from moreish.explaining.batchnorm.mates import among, biased, biases
from moreish.explaining.batchnorm.regularizing import CALMER, WITH, WITHOUT, gathered
from moreish.explaining.batchnorm.truth import ASKED, axes_of, axes_table, modes_table, small_table
from moreish.explaining.batchnorm.words import concluded, explained, of_lecture, of_padding, of_regularizing
from moreish.explaining.seeds import OverSeeds, over_seeds
from moreish.layers import BatchNorm
from moreish.models.mlp import MLPBatchNorm, MLPBatchNormConfig
from moreish.randomness import stream
from moreish.text.corpus import Corpus


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        hurry_batchnorm(patch)
        return explain_batchnorm(corpus)


def given(*shape: int) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=stream(len(shape), "given"), dtype=torch.float64) + 1


@pytest.mark.parametrize("asked, letters, shape", ASKED, ids=lambda x: getattr(x, "who", str(x)))
def test_the_axes_that_are_found_are_those_by_which_numpy_gives_the_same(asked, letters, shape):
    told = axes_of(asked, letters, shape)
    layer = asked.make(shape[-1]).train()
    x = given(*shape)
    if told.over is None:
        with pytest.raises((RuntimeError, ValueError)):
            layer(x)
        return
    axes = tuple(letters.index(letter) for letter in told.over)
    plain = x.numpy()
    ddof = 1 if asked.who.startswith("lecture") else 0
    mean, variance = plain.mean(axes, keepdims=True), plain.var(axes, ddof=ddof, keepdims=True)
    assert np.allclose(layer(x).detach().numpy(), (plain - mean) / np.sqrt(variance + 1e-5), atol=1e-12)
    assert told.shares == plain.size // mean.size
    assert told.furthest is not None and told.furthest < 1e-4


def test_ours_takes_what_torch_takes_once_channels_are_in_the_middle():
    over = {(each.who, tuple(each.shape)): each.over for each in axes_table()}
    wide, square = (truth.ROWS, truth.PLACES, truth.CHANNELS), (truth.ROWS, truth.CHANNELS, truth.CHANNELS)
    assert over["moreish", wide] == over["torch transposed", wide] == over["lecture mended", wide] == ["B", "T"]
    assert over["lecture at first", wide] == ["B"]
    assert over["torch", wide] is None and over["torch", square] == ["B", "D"]


def test_modes_are_those_of_torch():
    for each in modes_table():
        if each.who in ("moreish", "torch", "lecture mended"):
            learning = each.mode == "learning"
            assert each.statistics == ("batch" if learning else "running")
            assert each.stores == each.through == learning
    by = {(each.who, each.mode): each for each in modes_table()}
    layer = nn.BatchNorm1d(3, dtype=torch.float64)
    with torch.no_grad():
        layer(given(6, 3))
    assert layer.running_mean is not None and bool((layer.running_mean != 0).all())
    assert by["torch under no_grad", "learning"].stores and not by["torch under no_grad", "learning"].through
    assert by["torch without buffers", "evaluation"].statistics == "batch"


def test_of_one_row_and_of_two():
    by = {(each.who, each.rows): each for each in small_table()}
    assert [by[who, 1].outcome for who in ("moreish", "torch", "lecture mended")] == ["running", "error", "nan"]
    assert {by[who, 2].outcome for who in ("moreish", "torch", "lecture mended")} == {"signs"}
    assert by["torch", 2].size == pytest.approx(1) and by["lecture mended", 2].size == pytest.approx(0.5**0.5)
    assert all((by[who, 2].passes or 0) < 1e-9 for who in ("moreish", "torch", "lecture mended"))


class Detached(nn.Module):
    """Batch statistics through which no gradient passes, and nothing stored."""

    def forward(self, x):
        return (x - x.detach().mean(0)) / x.detach().std(0, correction=0)


class Rows(nn.Module):
    """Each row by its own mean: layer normalisation."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(1))

    def forward(self, x):
        return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)


def test_layers_of_other_kinds_are_told_apart():
    odd = truth.Asked("odd", lambda width: Detached())
    mode = truth.mode_of(odd, "learning")
    assert (mode.statistics, mode.stores, mode.through) == ("batch", False, False)
    rows = axes_of(truth.Asked("rows", Rows), "BTD", (5, 4, 3))
    assert rows.over == ["D"] and rows.shares == 3


@pytest.mark.parametrize("learning", [True, False])
def test_the_lectures_faulty_layer_is_torchs_place_by_place(learning):
    x = given(6, 4, 3)
    layer = FirstAxis(3).double().train()
    theirs = [nn.BatchNorm1d(3, dtype=torch.float64).train() for _ in range(4)]
    for _ in range(3):
        layer(x)
        for place, each in enumerate(theirs):
            each(x[:, place])
    layer.train(learning)
    wanted = torch.stack([each.train(learning)(x[:, place]) for place, each in enumerate(theirs)], 1)
    assert torch.allclose(layer(x), wanted, atol=1e-12)
    assert torch.allclose(Mended(3).double()(x), BatchNorm(3).double()(x), atol=1e-12)


def test_padded_windows_are_those_of_the_lines_and_more(corpus):
    batch = parts_of(corpus).learnt(6, 0).at(0)
    windows, inside = padded_windows(batch, CONTEXT)
    model = MLPBatchNorm(MLPBatchNormConfig(symbols=len(corpus.alphabet), context=CONTEXT)).eval()
    with torch.no_grad():
        assert torch.equal(model.score(windows[inside]), batch.logits(model))
    assert len(windows) == 6 * int(batch.lengths.max()) > len(batch.tokens) == int(inside.sum())
    assert windows[~inside][:, -1].unique().tolist() == [0]


def test_padding_moves_the_mean_by_what_numpy_finds(corpus, monkeypatch):
    monkeypatch.setattr(faults, "CALIBRATION", 2)
    batches = parts_of(corpus).learnt(8, 0)
    model = MLPBatchNorm(MLPBatchNormConfig(symbols=len(corpus.alphabet), context=CONTEXT, hidden=5))
    rows, kept = [], []
    for i in range(2):
        windows, inside = padded_windows(batches.at(faults.BEYOND + i), CONTEXT)
        with torch.no_grad():
            x = model.hidden[0](model.embedding(windows).flatten(1)).double().numpy()
        rows.append(x)
        kept.append(x[inside.numpy()])
    for (mean, variance), wanted in zip(faults._statistics(model, batches), (rows, kept)):
        every = np.concatenate(wanted)
        assert np.allclose(mean.numpy(), every.mean(0), atol=1e-5)
        assert np.allclose(variance.numpy(), every.var(0, ddof=1), atol=1e-5)


def test_mates_move_a_line_while_learning_and_not_in_evaluation(corpus):
    batches = parts_of(corpus).learnt(1, 0)
    model = MLPBatchNorm(MLPBatchNormConfig(symbols=len(corpus.alphabet), context=CONTEXT, hidden=16)).double()
    alike = [np.array([3, 4, 5])] * 3
    logits, nats, apart = among(model, batches, 0, alike)
    assert float(logits.max()) < 1e-20 and float(nats.std()) < 1e-12 and apart == 0
    others = [np.array([3, 4, 5]), np.array([6, 7, 8]), np.array([9, 10, 11])]
    logits, nats, apart = among(model, batches, 0, others)
    assert float(logits.max()) > 1e-9 and float(nats.std()) > 1e-9 and apart < 1e-12


def test_a_bias_before_batchnorm_has_the_gradient_of_torchs_own(corpus):
    told = {(each.precision, each.where): each for each in biases(parts_of(corpus), 0)}
    assert told["float64", "learning"].ratio < 1e-12 and told["float32", "learning"].ratio < 1e-4
    for where in ("evaluation", "without"):
        assert told["float64", where].ratio > 1e-3
    model = biased(len(corpus.alphabet), 0, True).double()
    assert model.hidden[0].bias is not None
    parts = parts_of(corpus)
    batch = parts.learnt(32, 0).at(0)
    layer = nn.BatchNorm1d(model.config.hidden, dtype=torch.float64)
    windows, inside = padded_windows(batch, CONTEXT)
    x = model.embedding(windows[inside]).flatten(1)
    logits = model.output(torch.tanh(layer(model.hidden[0](x))))
    (weights,) = torch.autograd.grad(nn.functional.cross_entropy(logits, batch.targets), model.hidden[0].weight)
    assert told["float64", "learning"].weights == pytest.approx(float(weights.abs().max()), rel=1e-9)


def test_descent_is_torchs_sgd():
    target = given(4)
    ours, theirs = nn.Linear(3, 4).double(), nn.Linear(3, 4).double()
    theirs.load_state_dict(ours.state_dict())
    x = given(5, 3)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for step in range(8):
        optimizer.param_groups[0]["lr"] = 0.1 if step < 6 else 0.01
        optimizer.zero_grad()
        (theirs(x) - target).square().mean().backward()
        optimizer.step()
    assert list(learn(ours, 8, lambda step: (ours(x) - target).square().mean(), 0.1)) == list(range(1, 9))
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-14)


def test_figures_of_train_and_dev_are_what_they_are_said_to_be():
    met = {
        WITHOUT: [[(2.6, 2.8), (2.2, 2.7)], [(2.5, 2.8), (2.1, 2.7)]],
        WITH: [[(2.7, 2.8), (2.4, 2.6)], [(2.6, 2.8), (2.3, 2.6)]],
        CALMER: [[(2.7, 2.8), (2.4, 2.61)], [(2.6, 2.8), (2.3, 2.62)]],
    }
    told = gathered(met, [1, 2], 10)
    assert told.gap_without.value == pytest.approx(0.55) and told.gap_with.value == pytest.approx(0.25)
    assert told.narrower.value == pytest.approx(0.3) and told.dev_gain.value == pytest.approx(0.1)
    assert told.noise.value == pytest.approx(0.015)
    assert told.equal_train_gain is not None
    assert told.equal_train_gain.value == pytest.approx(2.75 - 2.6), "halfway between 2.8 and 2.7, against 2.6"
    never = {**met, WITH: [[(3.0, 3.1), (2.9, 3.0)], [(2.6, 2.8), (2.3, 2.6)]]}
    undecided = gathered(never, [1, 2], 10)
    assert undecided.equal_train_gain is None and "not decided" in of_regularizing(undecided)


def interval(value: float, half: float) -> OverSeeds:
    return OverSeeds(value, value - half, value + half, 5)


VERDICTS = [
    (0.07, 0.04, "Regularises: yes."),
    (0.07, 0.001, "not shown on this list. At equal steps the gap"),
    (-0.07, 0.001, "no, not on this list"),
    (0.07, -0.04, "no, not on this list"),
    (0.001, 0.001, "Both may be chance"),
]


@pytest.mark.parametrize("narrower, equal, words", VERDICTS)
def test_whether_it_regularises_follows_from_the_intervals(found, narrower, equal, words):
    told = replace(found.regularizes, narrower=interval(narrower, 0.01), equal_train_gain=interval(equal, 0.01))
    assert words in of_regularizing(told)
    noisy = of_regularizing(replace(told, noise=interval(0.05, 0.001)))
    quiet = of_regularizing(replace(told, noise=interval(0.001, 0.01)))
    if "yes" in words:
        assert "much of the reason" in noisy and "not seen to be the reason" in quiet


def test_what_faults_cost_follows_from_the_intervals(found):
    axes = found.lecture
    assert "costs 0.0400 nats" in of_lecture(replace(axes, cost=interval(0.04, 0.01)))
    assert "gains 0.0400 nats (0.0300 to 0.0500)" in of_lecture(replace(axes, cost=interval(-0.04, 0.01)))
    assert "is not shown to cost" in of_lecture(replace(axes, cost=interval(0.004, 0.01)))
    costs = {(True, False): 0.05, (False, True): 0.02, (True, True): -0.03}
    pairs = [
        replace(pair, cost=interval(costs[key], 0.01) if key in costs else None)
        for pair in found.padding.pairs
        for key in [(pair.learnt_padded, pair.evaluated_padded)]
    ]
    assert "learning and evaluation disagree" in of_padding(replace(found.padding, pairs=pairs))
    pairs[-1] = replace(pairs[-1], cost=interval(0.03, 0.01))
    assert "disagree" not in of_padding(replace(found.padding, pairs=pairs))


def test_figures_hang_together(found):
    assert found.part == "dev" and found.not_measured == "" and found.seeds == 2
    right = next(p for p in found.padding.pairs if not p.learnt_padded and not p.evaluated_padded)
    assert right.cost is None
    for pair in found.padding.pairs:
        if pair.cost is not None:
            assert pair.cost.value == pytest.approx(pair.nats.value - right.nats.value, abs=1e-9)
    assert 0 < found.padding.share < 1 and found.padding.mean_moved <= found.padding.mean_moved_most
    assert found.lecture.cost.value == pytest.approx(found.lecture.first.value - found.lecture.mended.value, abs=1e-9)
    assert found.lecture.rows_mended == [128, 64, 32] and found.lecture.rows_first == [32, 32, 32]
    assert set(explained(found)) >= {"axes", "modes", "small", "mates", "bias", "padding", "lecture", "regularizes"}
    assert all("nan" not in line for line in concluded(found))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["lecture"]["lecture"] == [2.029, 2.022]


def test_the_same_seed_gives_the_same_figures_and_another_others(corpus, monkeypatch):
    hurry_batchnorm(monkeypatch)
    once = list(measured(corpus, 5))
    assert once == list(measured(corpus, 5)) and once[-1] != explain_batchnorm(corpus, 6)
    told = [(event.done, event.total) for event in once if isinstance(event, Told)]
    assert told == [(i, 14) for i in range(14)] and isinstance(once[-1], BatchNormFound)


def test_a_list_without_a_dev_part_says_what_is_not_measured(monkeypatch):
    hurry_batchnorm(monkeypatch)
    short = Corpus.of([f"{a}{b}{c}" for a in "abcde" for b in "klm" for c in "uvwxyz"])
    told = explain_batchnorm(short)
    assert told.part == "train" and told.regularizes is None and "no dev part" in told.not_measured
    assert told.not_measured in concluded(told) and "regularizes" not in explained(told)


def test_lists_too_short_and_seeds_that_are_none_are_refused(corpus):
    with pytest.raises(ListError, match="2 lines to learn from, fewer than 64"):
        explain_batchnorm(Corpus.of(["ana", "eva"]))
    with pytest.raises(ListError, match=r"two windows of 3 symbols in it are the same in 9\d %"):
        explain_batchnorm(Corpus.of(["a" * n for n in range(100, 200)]))
    with pytest.raises(UsageError, match="seed=-1"):
        explain_batchnorm(corpus, -1)


def test_one_seed_gives_no_interval_and_no_verdict(found):
    one = over_seeds([0.3])
    assert "one seed: no interval" in of_lecture(replace(found.lecture, cost=one))
