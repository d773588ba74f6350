"""Learning: the published figures, the lecture's own loop, and recipes that cannot be."""

import math

import pytest
import torch

from moreish.errors import ConfigError, MoreishError, UsageError
from moreish.learning import fit as fit_module
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import Evaluated, Finished, Step, events, fit, make_recipe
from moreish.learning.recipe import Recipe, Trained
from moreish.learning.steps import fit_lines, learn
from moreish.models.catalog import MODELS
from moreish.models.ngram import NGram
from moreish.text.corpus import Corpus
from quick import quick
from slow_ngram import SlowNGram

FEW = ["emma", "olivia", "ava", "mia", "amelia", "emma", "ella", "mila"]


@pytest.fixture(scope="module")
def every_name(names):
    return Corpus.read(names, split="none")


@pytest.fixture(scope="module")
def lecture_names(names):
    return Corpus.read(names, split="lecture")


@pytest.fixture(scope="module")
def unique_names(names):
    return Corpus.read(names)


def loss(corpus: Corpus, model: str, **asked) -> float:
    return evaluate(fit(corpus, model, **asked)).nats_per_symbol


# The published figures.


@pytest.mark.parametrize("smoothing, nats", [("none", 2.4540), ("add-1", 2.4546)])
def test_the_bigram_of_all_names_is_the_lectures(every_name, smoothing, nats):
    result = evaluate(fit(every_name, "bigram", smoothing=smoothing))
    assert round(result.nats_per_symbol, 4) == nats
    assert (result.symbols, result.lines, result.part) == (228_146, 32_033, "train")


@pytest.mark.parametrize("order, at_most", [(5, 1.985), (6, 1.976)])
def test_kneser_ney_on_the_lecture_split(lecture_names, order, at_most):
    assert loss(lecture_names, "ngram", order=order) <= at_most


def test_kneser_ney_on_the_unique_split(unique_names):
    result = evaluate(fit(unique_names, "ngram"))
    assert result.nats_per_symbol <= 2.006
    assert result.copy_mass == pytest.approx(0.316, abs=5e-4) and result.nats_given_new == pytest.approx(
        1.9512, abs=5e-4
    )


def test_the_uniform_model_loses_ln_27_a_symbol(unique_names):
    assert loss(unique_names, "uniform") == pytest.approx(math.log(27), abs=1e-6)


def test_the_network_reaches_the_counts_by_descent_and_by_its_closed_form(every_name):
    counted = loss(every_name, "bigram", smoothing="none")
    assert abs(loss(every_name, "one-layer", closed_form=True) - counted) <= 1e-6
    assert abs(loss(every_name, "one-layer") - counted) <= 1e-3


# Learning.


def test_descent_is_the_lectures_loop_over_every_pair():
    corpus = Corpus.of(FEW, split="none")
    recipe = make_recipe(corpus, "one-layer", steps=25, lr=5.0, weight_decay=0.01, seed=3)
    ours = [(step, said, model) for step, said, model in learn(recipe, corpus.train, corpus.alphabet, "cpu")]

    weight = MODELS["one-layer"](symbols=len(corpus.alphabet), seed=3).weight.detach().clone().requires_grad_()
    ids = {symbol: i for i, symbol in enumerate("." + "".join(corpus.alphabet.symbols))}
    pairs = [(ids[a], ids[b]) for word in FEW for a, b in zip("." + word, word + ".")]
    xs, ys = map(torch.tensor, zip(*pairs))
    losses = []
    for _ in range(25):
        probs = torch.softmax(torch.nn.functional.one_hot(xs, len(ids)).float() @ weight, 1)
        nats = -probs[torch.arange(len(ys)), ys].log().mean()
        losses.append(nats.item())
        weight.grad = None
        (nats + 0.01 * (weight**2).mean()).backward()
        weight.data -= 5.0 * weight.grad
    assert [step for step, _, _ in ours] == list(range(26)) and ours[0][1] is None
    assert [said for _, said, _ in ours[1:]] == pytest.approx(losses, abs=1e-5)
    assert torch.allclose(ours[-1][2].weight, weight, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_what_fit_returns_is_complete(name):
    corpus = Corpus.of(FEW)
    trained = fit(corpus, name, **({"steps": 3} if MODELS[name].learns_by_gradient else {}))
    assert isinstance(trained, Trained) and trained.corpus is corpus and trained.alphabet is corpus.alphabet
    assert trained.recipe.model == name and trained.recipe.symbols == "characters" and trained.longest == 6
    symbols = len(corpus.alphabet)
    unique = sorted(set(FEW))
    ids = [corpus.alphabet.encode(line) for line in unique]
    counted = {size: len(SlowNGram(ids, symbols, size, "none").counts) for size in (2, 5)}
    # Every symbol has an edge from the empty context, seen there or not; the end and all letters are.
    expected = {"uniform": 0, "unigram": symbols, "bigram": counted[2], "ngram": counted[5], "one-layer": symbols**2}
    weights = sum(p.numel() for p in trained.model.parameters())
    assert trained.parameters == expected.get(name, weights) and (weights > 0) == MODELS[name].learns_by_gradient


def test_a_seed_decides_what_descent_begins_from_and_nothing_else():
    corpus = Corpus.of(FEW)
    one, two, other = (fit(corpus, "one-layer", steps=2, seed=seed).model.state_dict()["weight"] for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    counted = [fit(corpus, "ngram", seed=seed).model.state_dict() for seed in (1, 2)]
    assert all(torch.equal(value, counted[1][name]) for name, value in counted[0].items())


@pytest.mark.parametrize("smoothing", ["none", "add-0.1", "witten-bell", "kneser-ney"])
@pytest.mark.parametrize("lines", [["a"], ["a", "b"], ["ab"] * 500, ["a" * 300], ["é", "名"], [" "], ["\u0301"]])
def test_any_list_can_be_learnt_at_any_order(lines, smoothing):
    corpus = Corpus.of(lines, split="none")
    for order in (1, 2, 5, 12, 64):
        trained = fit(corpus, "ngram", order=order, smoothing=smoothing)
        assert isinstance(trained.model, NGram) and 0 <= evaluate(trained).nats_per_symbol < 2


# Events.


def test_events_tell_the_steps_then_the_measure_then_the_end(monkeypatch):
    monkeypatch.setattr(fit_module, "TELL_EVERY", 10)
    corpus = Corpus.of([f"a{i}b" for i in range(300)])
    told = list(events(corpus, make_recipe(corpus, "one-layer", steps=25)))
    assert [type(event) for event in told] == [Step, Step, Step, Evaluated, Finished]
    assert [event.step for event in told] == [10, 20, 25, 25, 25]
    assert told[0].loss > told[1].loss > told[2].loss
    assert told[3].evaluation == evaluate(told[4].trained)


@pytest.mark.parametrize("name, asked", [("ngram", {}), ("uniform", {}), ("one-layer", {"closed_form": True})])
def test_counting_is_one_step_and_tells_no_loss(name, asked):
    corpus = Corpus.of(FEW)
    told = list(events(corpus, make_recipe(corpus, name, **asked)))
    assert [type(event) for event in told] == [Evaluated, Finished] and told[0].evaluation.part == "kfold"


def test_one_unique_line_is_learnt_without_a_measure():
    corpus = Corpus.of(["ada", "ada"])
    assert [type(event) for event in events(corpus, make_recipe(corpus))] == [Finished]


def test_no_steps_leave_the_model_fresh():
    corpus = Corpus.of(FEW)
    told = list(events(corpus, make_recipe(corpus, "one-layer", steps=0, seed=5)))
    assert told[-1].step == 0
    fresh = MODELS["one-layer"](symbols=len(corpus.alphabet), seed=5)
    assert torch.equal(told[-1].trained.model.weight, fresh.weight)


@pytest.mark.parametrize("asked", [{"lr": 1e6, "weight_decay": 1e6}, {"lr": 50.0, "weight_decay": 1e5}])
def test_a_loss_that_is_no_longer_finite_stops_at_that_step_and_keeps_the_weights_before(asked):
    corpus = Corpus.of(FEW, split="none")
    recipe = make_recipe(corpus, "one-layer", steps=10_000, **asked)
    seen = None
    with pytest.raises(MoreishError, match="smaller --lr") as error:
        for step, _, model in learn(recipe, corpus.train, corpus.alphabet, "cpu"):
            seen = step, model
    assert seen is not None and str(error.value).startswith(f"step {seen[0] + 1}:")
    assert torch.isfinite(seen[1].weight).all()


# Recipes.

REFUSED = [
    ({"model": "mamba"}, "mamba"),
    ({"model": "ngarm"}, "'ngram'"),
    ({"order": 0}, "order=0"),
    ({"order": 2.0}, "order=2.0"),
    ({"order": True}, "order=True"),
    ({"ordre": 3}, "'order'"),
    ({"smoothing": "laplace"}, "laplace"),
    ({"symbols": 5}, "symbols"),
    ({"states": 5}, "states"),
    ({"lr": 0.1}, "--lr has no meaning"),
    ({"steps": 5}, "--steps has no meaning"),
    ({"weight_decay": 0.1}, "--weight-decay has no meaning"),
    ({"closed_form": True}, "--closed-form has no meaning"),
    ({"model": "one-layer", "closed_form": True, "steps": 3}, "--steps has no meaning"),
    ({"model": "one-layer", "order": 3}, "order"),
    *[({"model": "one-layer", "lr": lr}, "lr=") for lr in (0, 0.0, -1, math.nan, math.inf, 1e30, "0.1", True, [1])],
    *[({"model": "one-layer", "weight_decay": x}, "weight_decay=") for x in (-1, math.nan, math.inf, 1e30, "0", True)],
    *[({"model": "one-layer", "steps": x}, "steps=") for x in (-1, 2**63, 1.5, "7", True, math.nan)],
]


@pytest.mark.parametrize("asked, words", REFUSED, ids=lambda x: str(x)[:50])
def test_recipes_that_cannot_be_are_refused_by_name(asked, words, types_unchecked):
    with pytest.raises(ConfigError, match=words) as error:
        fit(Corpus.of(FEW), **asked)
    assert "\n" not in str(error.value) and isinstance(error.value, UsageError)


@pytest.mark.parametrize("name", ["ngram", "one-layer"])
@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, True, 1.0, "1", math.nan])
def test_seeds_that_are_none_are_refused_whatever_the_model(name, seed, types_unchecked):
    with pytest.raises(UsageError, match="seed="):
        fit(Corpus.of(FEW), name, seed=seed)


def test_a_recipe_knows_its_methods():
    with pytest.raises(ConfigError, match="guessing"):
        Recipe("ngram", method="guessing")
    recipe = make_recipe(Corpus.of(FEW, split="none", symbols="bytes"), "ngram", order=3, smoothing=None, seed=4)
    assert recipe == Recipe(**recipe.to_dict())
    assert (recipe.settings, recipe.split, recipe.symbols, recipe.seed) == ({"order": 3}, "none", "bytes", 4)


def test_a_recipe_and_its_lines_make_the_model_again():
    corpus = Corpus.of(FEW)
    for name in MODELS:
        trained = quick(corpus, name)
        again = fit_lines(trained.recipe, corpus.train, corpus.alphabet).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in trained.model.state_dict().items())


# The lectures' own.


def test_the_lectures_network_needs_only_what_the_lecture_says():
    recipe = make_recipe(
        Corpus.of(FEW), "mlp", context=3, embedding=10, hidden=200, optimizer="sgd", lr=0.1, schedule="step", batch=32,
        batch_of="windows", steps=200_000,
    )  # fmt: skip
    config = MODELS["mlp"].configure(symbols=27, **recipe.settings)
    assert (config.layers, config.dropout, config.direct, config.blank) == (1, 0.0, False, False)
    parameters = sum(p.numel() for p in MODELS["mlp"].build(config).parameters())
    assert parameters == 27 * 10 + 30 * 200 + 200 + 200 * 27 + 27 == 11_897, "as the lecture counts them"
    nothing = ("momentum", "weight_decay", "warmup", "clip", "average", "label_smoothing", "patience")
    assert {getattr(recipe, name) for name in nothing} == {0} and recipe.use == "last"


@pytest.mark.parametrize("asked, layers, dropout", [
    ({}, 2, 0.1), ({"context": 5}, 2, 0.1), ({"dropout": 0.3}, 2, 0.3), ({"hidden": 64}, 1, 0.0),
    ({"layers": 3}, 3, 0.0),
])  # fmt: skip
def test_sizes_that_go_together_are_taken_together(asked, layers, dropout):
    config = MODELS["mlp"].configure(symbols=5, **make_recipe(Corpus.of(FEW), "mlp", **asked).settings)
    assert (config.layers, config.dropout) == (layers, dropout)
