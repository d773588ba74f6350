"""The learning-rate finder: curves whose answer is known, the lecture's own loop, and models left as they were."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from moreish.errors import ConfigError, UsageError
from moreish.learning.curve import LEAST_POINTS, read_curve, smooth
from moreish.learning.evaluate import line_nats
from moreish.learning.finder import LEAST_LINES, RANGES, FoundRate, Tried, _tried, find_lr, tries
from moreish.learning.fit import fit, make_recipe
from moreish.learning.recipe import Trained
from moreish.learning.steps import begin, learn
from moreish.models.catalog import MODELS
from moreish.text.corpus import Corpus
from quick import checked_before

LECTURE = {
    "context": 3, "embedding": 10, "hidden": 200, "layers": 1, "batch": 32, "batch_of": "windows", "weight_decay": 0.0,
    "clip": 0.0, "average": 0.0, "dropout": 0.0,
}  # fmt: skip
SMALL = {"context": 2, "embedding": 4, "hidden": 8, "layers": 1, "batch": 16, "dropout": 0.0}
QUICK = {"points": LEAST_POINTS, "seeds": 1, "steps_per_point": 1}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.of([f"{a}{b}{c}" for a in "kmnrst" for b in ("a", "e", "io") for c in ("na", "l", "ra", "x")])


@pytest.fixture(scope="module")
def names_corpus(names) -> Corpus:
    return Corpus.read(names)


# Curves whose answer is known.


def lightning(noise_seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The curve of issue 21141 of pytorch-lightning: a loss that falls ever faster up to the highest rate, 1."""
    x = np.linspace(-50, 50, 100)
    noise = 0.0 if noise_seed is None else np.random.RandomState(noise_seed).uniform(-0.1, 0.1, 100)
    return 1e-8 * 1e8 ** (np.arange(1, 101) / 100), (-(x**2) - 30 * x + 4000) / 1000 + noise


@pytest.mark.parametrize("noise_seed, by_rate", [(None, 1.9e-5), (42, 1.3e-7)])
def test_the_slope_is_taken_per_power_of_ten_and_not_per_rate(noise_seed, by_rate):
    rates, losses = lightning(noise_seed)
    slope_per_rate = np.gradient(losses[10:-1], rates[10:-1])
    assert rates[10:-1][slope_per_rate.argmin()] == pytest.approx(by_rate, rel=0.05), "not the curve of that issue"
    found = read_curve(rates, losses)
    assert found.suggestion == pytest.approx(0.83, rel=0.01)
    assert found.diverges_at is None and "try some above" in found.reason


@pytest.mark.parametrize("noise_seed", range(43, 55))
def test_and_other_noise_changes_nothing(noise_seed):
    assert read_curve(*lightning(noise_seed)).suggestion == pytest.approx(0.83, rel=0.01)


def valley(noise: float = 0.0, seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Learning by a logistic curve, steepest at 0.01, and an explosion that adds a nat at 1."""
    x = np.linspace(-4, 1, 100)
    falling = 3.3 - 0.9 / (1 + np.exp(-4 * (x + 2)))
    losses = falling + 10 ** (2 * x) + np.random.RandomState(seed).normal(0, noise or 1e-12, 100)
    return scale * 10**x, losses


# The minimum of the sum is where 3.6 e^-4(x+2) = 2 ln 10 10^2x, nearly: x = -0.82. The loss is 3.3 again at x = -0.02.
STEEPEST, MINIMUM, EXPLOSION = -2.0, -0.82, -0.02


@pytest.mark.parametrize("noise, within", [(0.0, 0.15), (0.02, 0.3), (0.06, 0.45)])
@pytest.mark.parametrize("seed", range(4))
def test_a_valley_is_read_where_it_lies(noise, within, seed):
    found = read_curve(*valley(noise, seed))
    assert found.low and found.high and found.suggestion and found.diverges_at
    assert math.log10(found.low) == pytest.approx(STEEPEST, abs=within)
    assert MINIMUM - within <= math.log10(found.high) <= MINIMUM + within + 0.3, "a flat bottom has an end"
    assert math.log10(found.diverges_at) == pytest.approx(EXPLOSION, abs=0.15)
    assert found.suggestion == pytest.approx((found.low * found.high) ** 0.5, rel=0.01)


def test_rates_a_hundred_times_as_large_give_answers_a_hundred_times_as_large():
    one, other = read_curve(*valley()), read_curve(*valley(scale=100.0))
    for name in ("low", "suggestion", "high", "diverges_at"):
        assert getattr(other, name) == pytest.approx(100 * getattr(one, name), rel=0.01)


def test_where_in_the_interval_the_suggestion_lies():
    middle, upper, high = (read_curve(*valley(), share, 0.0, "because") for share in (0.5, 0.75, 1.0))
    assert middle.low and middle.high and middle.diverges_at and high.suggestion == middle.high == high.high
    assert upper.suggestion == pytest.approx(middle.low**0.25 * middle.high**0.75, rel=0.01)
    for share in (0.5, 0.8):
        near = read_curve(*valley(), 1.0, share, "because")
        assert near.suggestion == near.high == pytest.approx(share * middle.diverges_at, rel=0.01) and near.high > 0.4
        assert near.low == middle.low and near.reason.endswith(f"is {share:.0%} of that; because")
    assert all(one.reason.endswith("; because") for one in (middle, upper, high))
    assert read_curve(*valley(), 1.0, 0.1).suggestion == high.suggestion, "no less than the interval's end"


def test_a_rate_at_which_training_breaks_down_is_where_it_explodes():
    rates, losses = valley()
    losses[70:] = np.nan
    found = read_curve(rates, losses)
    assert found.diverges_at == pytest.approx(rates[70], rel=0.01) and len(found.smoothed) == 70
    assert found.suggestion == pytest.approx(read_curve(*valley()).suggestion or 0, rel=0.3)


NO_SUGGESTION = {
    "flat": (np.full(100, 3.3), "never falls"),
    "only noise": (3.3 + np.random.RandomState(1).normal(0, 0.15, 100), "noise"),
    "nothing but an explosion": (np.where(np.arange(100) < 60, 3.3, 30.0), "try rates below"),
    "only rising": (3.3 + 10 ** np.linspace(-4, 3, 100), "try rates below"),
    "broken at once": (np.where(np.arange(100) < LEAST_POINTS - 1, 3.3, np.nan), "after 19 points, where 20"),
    "broken before the first": (np.full(100, np.inf), "after 0 points"),
    "short": (np.linspace(3, 2, LEAST_POINTS - 1), "takes 20"),
}


@pytest.mark.parametrize("case", NO_SUGGESTION)
def test_where_nothing_can_be_suggested_a_sentence_says_why(case):
    losses, words = NO_SUGGESTION[case]
    found = read_curve(10 ** np.linspace(-4, 1, 100)[: len(losses)], losses)
    assert (found.suggestion, found.low, found.high) == (None, None, None)
    assert words in found.reason and "\n" not in found.reason


def test_noise_is_hardly_ever_taken_for_learning():
    rates = 10 ** np.linspace(-4, 1, 100)
    found = [read_curve(rates, 3.3 + np.random.RandomState(seed).normal(0, 0.1, 100)) for seed in range(100)]
    assert sum(one.suggestion is not None for one in found) <= 2


@pytest.mark.parametrize("points", [7, 20, 100, 1000])
def test_smoothing_keeps_a_parabola_and_its_slope(points):
    x = np.sort(np.random.RandomState(points).uniform(-5, 1, points))
    values, slopes = smooth(x, 0.3 * x**2 - x + 2)
    assert np.allclose(values, 0.3 * x**2 - x + 2, atol=1e-8) and np.allclose(slopes, 0.6 * x - 1, atol=1e-6)


def test_smoothing_takes_out_noise():
    x = np.linspace(-5, 1, 200)
    noisy = np.sin(x) + np.random.RandomState(0).normal(0, 0.1, 200)
    values, slopes = smooth(x, noisy)
    assert np.std(values - np.sin(x)) < 0.05 and np.std(slopes[5:-5] - np.cos(x)[5:-5]) < 0.2


# Trying rates.


def test_points_are_the_mean_of_the_lectures_own_loop(corpus):
    asked = {**SMALL, "batch_of": "windows", "optimizer": "sgd", "weight_decay": 0.0, "clip": 0.0}
    found = find_lr(corpus, "mlp", low=1e-3, high=1.0, points=30, seeds=2, steps_per_point=2, seed=5, **asked)
    rates = 10 ** np.linspace(-3, 0, 30)
    assert np.allclose([p.lr for p in found.points], rates)
    losses = np.zeros((2, 30, 2))
    for turn in range(2):
        training = begin(make_recipe(corpus, "mlp", seed=5 + turn, **asked), corpus.train, corpus.alphabet)
        model, batches = training.model, training.batches
        step = 0
        for i, lr in enumerate(rates):
            for k in range(2):
                batch = batches.windows_at(step, model.context)
                loss = torch.nn.functional.cross_entropy(model.score(batch.windows), batch.targets)
                gradients = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for p, gradient in zip(model.parameters(), gradients):
                        p -= lr * gradient
                losses[turn, i, k] = loss.item()
                step += 1
    assert np.allclose([p.loss or 0.0 for p in found.points], losses.mean((0, 2)), atol=1e-5)


@pytest.mark.parametrize("optimizer", RANGES)
def test_a_hundred_exponents_evenly_spaced_are_tried_unless_told_otherwise(corpus, optimizer):
    found = find_lr(corpus, "mlp", seeds=1, steps_per_point=1, optimizer=optimizer, **SMALL)
    exponents = np.log10([p.lr for p in found.points])
    assert len(exponents) == 100 and np.allclose(np.diff(exponents), 5 / 99)
    assert (10 ** exponents[0], 10 ** exponents[-1]) == pytest.approx(RANGES[optimizer])
    assert (found.optimizer, found.scale, found.model, found.seeds) == (optimizer, "log", "mlp", 1)


def test_rates_themselves_may_be_evenly_spaced(corpus):
    found = find_lr(corpus, "mlp", low=0.001, high=1.0, scale="linear", **QUICK, **SMALL)
    assert np.allclose([p.lr for p in found.points], np.linspace(0.001, 1, LEAST_POINTS))


def test_events_tell_of_each_seed_and_rate_and_at_last_what_was_found(corpus):
    told = list(tries(corpus, "mlp", points=25, seeds=2, steps_per_point=1, **SMALL))
    assert [type(event) for event in told] == [Tried] * 50 + [FoundRate]
    assert [event.done for event in told[:-1]] == list(range(1, 51)) and {e.total for e in told[:-1]} == {50}
    assert told[-1] == find_lr(corpus, "mlp", points=25, seeds=2, steps_per_point=1, **SMALL), "the same each time"
    assert told[-1] != find_lr(corpus, "mlp", points=25, seeds=2, steps_per_point=1, seed=1, **SMALL)


def test_small_batches_take_more_steps_at_a_rate(corpus):
    few, many = (find_lr(corpus, "mlp", points=20, seeds=1, **{**SMALL, "batch": n}).steps_per_point for n in (4, 64))
    assert (few, many) == (4, 2)


def test_training_that_breaks_down_is_told_as_such(corpus):
    found = find_lr(
        corpus, "mlp", low=1e-2, high=1e6, **{**QUICK, "points": 80}, **SMALL, optimizer="sgd", weight_decay=0.1
    )
    losses = [p.loss for p in found.points]
    assert None in losses and losses[0] is not None and found.diverges_at
    broken = losses.index(None)
    assert losses[broken:] == [None] * (80 - broken) and found.diverges_at <= found.points[broken].lr * 1.01
    assert all(p.smoothed is None for p in found.points[broken:])


@pytest.mark.parametrize("model", [name for name, entry in MODELS.items() if entry.learns_by_gradient])
def test_every_network_of_the_catalog_can_be_tried(corpus, model):
    found = find_lr(corpus, model, batch=8, **QUICK)
    assert found.model == model and all(p.loss is not None for p in found.points[:10])


def test_one_layer_is_tried_as_it_learns_from_the_whole_list_at_once(corpus):
    recipe = make_recipe(corpus, "one-layer", steps=6, lr=3.0, weight_decay=0.02, seed=4)
    *_, (_, _, ours) = learn(recipe, corpus.train, corpus.alphabet, "cpu")
    tried = _tried(recipe, len(corpus.train), len(corpus.alphabet))
    training = begin(tried, corpus.train, corpus.alphabet)
    for step in range(6):
        training.gradient(training.batch(step), step)
        training.optimizer.step(3.0)
    assert torch.allclose(training.model.state_dict()["weight"], ours.state_dict()["weight"], atol=1e-6)
    found = find_lr(corpus, "one-layer", points=40, seeds=1)
    assert found.suggestion and 5 < found.suggestion < 1000 and found.optimizer == "sgd"


# Models that are there already.


def everything(training) -> dict[str, object]:
    """Whatever a training holds, tensors copied."""
    parameters = dict(training.model.named_parameters())
    return {
        **{f"tensor {name}": t.clone() for name, t in training.tensors().items()},
        **{f"gradient {name}": None if p.grad is None else p.grad.clone() for name, p in parameters.items()},
        **{f"steps {i} {j}": int(state["step"]) for i, part in enumerate(training.optimizer.parts)
           for j, state in enumerate(part.state.values()) if "step" in state},
        **{f"rate {i}": [g["lr"] for g in part.param_groups] for i, part in enumerate(training.optimizer.parts)},
        "modes": [module.training for module in training.model.modules()],
        "progress": training.progress,
        "recipe": training.recipe,
        "order": (training.batches.seed, training.batches._epoch, np.array(training.batches._order).tolist()),
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),
    }  # fmt: skip


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, (tuple, list)):
        return isinstance(other, (tuple, list)) and len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize("optimizer, momentum", [("sgd", 0.0), ("sgd", 0.9), ("adamw", 0.0), ("muon", 0.0)])
@pytest.mark.parametrize("model, settings", [("mlp", {"dropout": 0.2}), ("mlp-bn", {})])
def test_a_training_is_left_bit_for_bit_as_it_was(corpus, model, settings, optimizer, momentum):
    asked = {**SMALL, **settings, "optimizer": optimizer, "momentum": momentum, "lr": 0.01, "average": 0.9}
    recipe = make_recipe(corpus, model, steps=20, **asked)
    training, twin = (begin(recipe, corpus.train, corpus.alphabet) for _ in range(2))
    for _ in range(5):
        training.advance(), twin.advance()
    before = everything(training)
    found = find_lr(training, points=30, seeds=2, steps_per_point=1)
    after = everything(training)
    assert before.keys() == after.keys() and not [key for key in before if not same(before[key], after[key])]
    assert found.points[0].loss != found.points[-1].loss
    while training.step < 20:
        assert training.advance() == twin.advance()
    assert all(torch.equal(t, twin.tensors()[name]) for name, t in training.tensors().items())


def test_a_trained_model_is_left_as_it_was_and_goes_on_from_there(corpus):
    trained = fit(corpus, "mlp", steps=60, **SMALL)
    before, random = copy.deepcopy(trained.model.state_dict()), torch.get_rng_state()
    found = find_lr(trained, **QUICK)
    assert all(torch.equal(t, trained.model.state_dict()[name]) for name, t in before.items())
    assert torch.equal(random, torch.get_rng_state()) and not trained.model.training
    assert all(p.grad is None for p in trained.model.parameters())
    fresh = find_lr(corpus, "mlp", **QUICK, **SMALL)
    assert found.points[0].loss and fresh.points[0].loss and found.points[0].loss < fresh.points[0].loss - 0.1
    assert find_lr(trained, optimizer="sgd", **QUICK).optimizer == "sgd"


def test_dropout_from_torchs_own_stream_leaves_it_as_it_was(corpus):
    training = begin(make_recipe(corpus, "mlp", average=0.0, **SMALL), corpus.train, corpus.alphabet)
    training.model.output = torch.nn.Sequential(torch.nn.Dropout(0.5), training.model.output)
    before = torch.get_rng_state()
    find_lr(training, **QUICK)
    assert torch.equal(before, torch.get_rng_state())


# Refusals.

MESSAGES = [
    ({"points": 5}, "points=5 is not a whole number from 20"),
    ({"points": LEAST_POINTS - 1}, "from 20"),
    ({"points": 0}, "points=0"),
    ({"points": -100}, "points=-100"),
    ({"points": 50.0}, "points=50.0"),
    ({"points": True}, "points=True"),
    ({"low": 1.0, "high": 0.1}, "low=1 is not below half of high=0.1"),
    ({"low": 0.5, "high": 0.5}, "low=0.5 is not below half of high=0.5"),
    ({"low": 0.5, "high": 0.6}, "make no curve"),
    ({"low": 5.0}, "low=5 is not below half of high=1 .*not given"),
    ({"points": 10**6}, "to 2,000"),
    *[({name: value}, f"{name}=.* is no rate") for name in ("low", "high")
      for value in (0, 0.0, -1.0, math.nan, math.inf, -math.inf, 1e9, "0.1", True)],
    ({"scale": "sqrt"}, "scale='sqrt' is none of: log, linear"),
    ({"seeds": 0}, "seeds=0"),
    ({"steps_per_point": 0}, "steps_per_point=0"),
    *[({"seed": value}, "seed=") for value in (-1, 2**63 - 1, 2**64, True, "1", 0.0)],
    ({"lr": 0.1}, "is what is looked for"),
    ({"time": 3}, "--time has no meaning"),
    ({"model": "ngram"}, "ngram is fitted by counting, so it has no learning rate"),
    ({"model": "mpl"}, "'mlp'"),
    ({"hiden": 8}, "'hidden'"),
    ({"batch_of": "words"}, "batch_of"),
]  # fmt: skip


@pytest.mark.parametrize("asked, words", MESSAGES, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused_in_a_sentence_and_at_once(corpus, asked, words, types_unchecked):
    with pytest.raises(UsageError, match=words) as error:
        tries(corpus, **{"model": "mlp", **asked})  # nothing is tried: no event was asked for
    assert "\n" not in str(error.value) and str(error.value).endswith((".", "?"))


def test_what_is_there_cannot_be_chosen_again(corpus):
    training = begin(make_recipe(corpus, "mlp", **SMALL), corpus.train, corpus.alphabet)
    trained = Trained(training.result(), corpus.alphabet, corpus, training.recipe)
    counted = fit(corpus, "bigram")
    for start, asked, words in (
        (training, {"model": "mlp"}, "a model is there already"),
        (training, {"optimizer": "sgd"}, "decided when this training began"),
        (trained, {"hidden": 3}, "decided when this model was made"),
        (counted, {}, "fitted by counting"),
        (
            replace(trained, corpus=replace(corpus, train=corpus.train[:0]), hashes=np.zeros(3, np.uint64)),
            {},
            "no list",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            tries(start, **asked)


def test_a_list_too_short_is_refused():
    lines = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    with pytest.raises(ConfigError, match=f"with 3 lines to learn from is too short.*{LEAST_LINES}"):
        find_lr(Corpus.of(lines[:3]), "mlp", **QUICK)
    assert find_lr(Corpus.of(lines), "mlp", **QUICK, **SMALL).points


def test_a_model_that_has_learnt_all_there_is_gets_no_suggestion(corpus):
    asked = {**SMALL, "hidden": 32, "batch": 72, "lr": 0.02, "average": 0.0}
    training = begin(make_recipe(corpus, "mlp", steps=400, **asked), corpus.train, corpus.alphabet)
    while training.step < 400:
        training.advance()
    found = find_lr(training, points=40, seeds=2, steps_per_point=1)
    assert found.suggestion is None and found.low is None and "try" in found.reason
    assert found.to_dict()["suggestion"] is None and len(found.to_dict()["points"]) == 40


# Names.


def test_the_lectures_network_is_told_the_lectures_rate(names_corpus):
    found = find_lr(names_corpus, "mlp", seeds=2, optimizer="sgd", schedule="step", **LECTURE)
    assert found.suggestion and 0.03 <= found.suggestion <= 0.3, "the lecture found about 0.1"
    assert found.diverges_at and 0.3 < found.diverges_at < 3


@pytest.mark.parametrize(
    "optimizer, schedule", [("sgd", "constant"), ("sgd", "cosine"), ("adamw", "constant"), ("adamw", "cosine"),
                            ("muon", "cosine")],
)  # fmt: skip
def test_a_third_and_the_triple_of_the_suggestion_are_no_better(names_corpus, optimizer, schedule):
    asked = {**LECTURE, "optimizer": optimizer, "schedule": schedule}
    suggestion = find_lr(names_corpus, "mlp", seeds=2, **asked).suggestion
    assert suggestion

    def dev_loss(lr: float) -> float:
        recipe = make_recipe(names_corpus, "mlp", steps=300, lr=lr, seed=9, **asked)
        training = begin(recipe, names_corpus.train, names_corpus.alphabet)
        training.advance()
        with checked_before():
            while training.step < 300:
                training.advance()
        nats, symbols = line_nats(training.result(), names_corpus.alphabet, names_corpus.dev[:1000])
        return float(nats.sum() / symbols.sum())

    there, third, triple = dev_loss(suggestion), dev_loss(suggestion / 3), dev_loss(3 * suggestion)
    assert there < max(third, triple) - 0.02 and there < min(third, triple) + 0.03
