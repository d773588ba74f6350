"""A training under way: what a step depends on, averages, early stopping, and where it breaks."""

from __future__ import annotations

import math
import random
import re
import time

import pytest
import torch

from moreish.errors import ConfigError, MoreishError
from moreish.layers import Dropout
from moreish.learning.fit import Checkpointed, Evaluated, Finished, Step, events, fit, make_recipe
from moreish.learning.steps import begin
from moreish.models.catalog import MODELS
from moreish.text.corpus import Corpus

chooser = random.Random(2)
LINES = ["".join(chooser.choices("abcde", [8, 5, 3, 2, 1], k=chooser.randint(2, 7))) for _ in range(600)]
NETWORKS = [name for name, entry in MODELS.items() if entry.learns_by_gradient]
QUICK = {"batch": 16, "steps": 12, "lr": 0.01}
TINY = {"hidden": 8, "embedding": 4, "context": 3, "layers": 1}


@pytest.fixture(scope="module")
def corpus():
    return Corpus.of(LINES)


def training(corpus, model: str = "mlp", **asked):
    asked = {**QUICK, **(TINY if model == "mlp" else {}), **asked}
    recipe = make_recipe(corpus, model, **asked)
    return begin(recipe, corpus.train, corpus.alphabet)


def test_the_average_is_what_it_says(corpus):
    going = training(corpus, average=0.6, use="average")
    weight = going.model.output.weight
    wanted = weight.detach().clone()
    for step in range(8):
        going.advance()
        decay = min(0.6, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * weight.detach()
    assert torch.allclose(going.average["output.weight"], wanted, atol=1e-6)
    assert torch.equal(going.result().output.weight, going.average["output.weight"])
    assert torch.equal(going.result("last").output.weight, weight)


def test_the_best_on_dev_is_kept_and_used(corpus):
    going = training(corpus, average=0.0, use="best")
    for nats, stops in ((3.0, False), (2.0, False), (2.5, False), (2.1, False)):
        going.advance()
        assert going.consider(nats) is stops
        if nats == 2.0:
            best = going.model.output.weight.detach().clone()
    assert going.progress.best_step == 2 and going.progress.without_better == 2
    assert torch.equal(going.result().output.weight, best)
    assert not torch.equal(going.result("last").output.weight, best)


def test_patience_ends_a_training_early_and_only_when_asked_for(corpus):
    asked = {"steps": 60, "evaluate_every": 5, "lr": 2.0, "optimizer": "sgd", "average": 0.0, **TINY, "batch": 16}
    ended = [
        event.step
        for patience in (0, 1)
        for event in events(corpus, make_recipe(corpus, "mlp", patience=patience, use="last", clip=1.0, **asked))
        if isinstance(event, Finished)
    ]
    assert ended[0] == 60 > ended[1]


@pytest.mark.parametrize("steps", [1, 7, 25])
def test_steps_means_exactly_so_many(corpus, steps):
    told = list(events(corpus, make_recipe(corpus, "mlp", **{**QUICK, **TINY, "steps": steps})))
    assert told[-1].step == told[-1].training.step == steps
    assert [event.step for event in told if isinstance(event, Step)] == sorted({1, steps})
    saved = [event.step for event in told if isinstance(event, Checkpointed)]
    assert saved == sorted(saved) and steps not in saved


def test_label_smoothing_and_clipping_are_torchs(corpus):
    going = training(corpus, label_smoothing=0.2, clip=0.05, dropout=0.0)
    batch = going.batch(0)
    loss = going.gradient(batch, 0)
    gradients = [p.grad.clone() for p in going.model.parameters()]
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
    assert norm == pytest.approx(0.05, rel=1e-4)
    plain = torch.nn.functional.cross_entropy(batch.logits(going.model), batch.targets, label_smoothing=0.2)
    assert loss == pytest.approx(plain.item(), abs=1e-6)
    theirs = torch.autograd.grad(plain, list(going.model.parameters()))
    torch.nn.utils.clip_grad_norm_(parameters := [torch.nn.Parameter(g) for g in theirs], 1e9)
    scale = 0.05 / math.sqrt(sum(g.square().sum().item() for g in theirs))
    for ours, p in zip(gradients, parameters):
        assert torch.allclose(ours, p * scale, atol=1e-7)


def test_dropout_draws_from_a_stream_of_its_own(corpus):
    without, with_it = training(corpus), training(corpus, dropout=0.5)
    assert torch.equal(without.batch(3).tokens, with_it.batch(3).tokens)
    one = with_it.gradient(with_it.batch(0), 0)
    torch.manual_seed(999)
    torch.rand(10)
    assert with_it.gradient(with_it.batch(0), 0) == one != with_it.gradient(with_it.batch(0), 1)
    assert all(m.generator is None for m in with_it.model.modules() if isinstance(m, Dropout))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_and_ends_below_knowing_nothing(name, corpus):
    asked = {"steps": 60, "batch": 32, "lr": 0.3 if name == "one-layer" else 0.01}
    *_, evaluated, finished = events(corpus, make_recipe(corpus, name, **asked))
    assert isinstance(evaluated, Evaluated) and isinstance(finished, Finished)
    found, trained = evaluated.evaluation, finished.trained
    assert found.nats_per_symbol < math.log(6) - 0.1 and 0 < found.copy_mass < 1
    assert not trained.model.training and all(p.grad is None for p in trained.model.parameters())


def test_batches_of_windows_are_for_models_of_windows(corpus):
    assert training(corpus, "mlp-bn", batch_of="windows").advance() > 0
    for name in NETWORKS:
        if name in ("rnn", "gru", "lstm", "transformer", "wavenet", "bow", "mixture"):
            with pytest.raises(ConfigError, match="reads whole lines"):
                training(corpus, name, batch_of="windows")


def poison_weight(going, step):
    going.model.hidden[0].weight.data[0, 0] = math.nan


def poison_infinite(going, step):
    going.model.output.bias.data[1] = math.inf


def poison_gradient(going, step):
    going.model.embedding.weight.register_hook(lambda g: g * math.nan)


def poison_late(going, step):
    going.model.output.weight.register_hook(lambda g: g + math.inf)


FAULTS = [
    (poison_weight, "the weight hidden.0.weight"),
    (poison_infinite, "the weight output.bias"),
    (poison_gradient, "the gradient of embedding.weight"),
    (poison_late, "the gradient of output.weight"),
]


@pytest.mark.parametrize("at", [0, 3, 7])
@pytest.mark.parametrize("poison, named", FAULTS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_fault_stops_at_that_very_step_and_is_named(corpus, poison, named, at):
    going = training(corpus)
    for _ in range(at):
        going.advance()
    before = {name: t.clone() for name, t in going.optimizer.tensors().items()}
    poison(going, at)
    with pytest.raises(MoreishError, match=f"step {at + 1}: .*{re.escape(named)}"):
        going.advance()
    assert going.step == at
    assert all(torch.equal(t, before[name]) for name, t in going.optimizer.tensors().items())


def test_a_rate_too_high_is_stopped_where_it_explodes(corpus):
    with pytest.raises(MoreishError, match=r"step \d+: the loss is .*--lr"):
        fit(corpus, "mlp", **{**QUICK, **TINY, "optimizer": "sgd", "lr": 1e6, "weight_decay": 0.1, "steps": 200})


@pytest.mark.parametrize("precision, apart", [("float32", 0.0), ("bfloat16", 0.05)])
def test_bfloat16_is_near_float32(corpus, precision, apart):
    plain, other = training(corpus), training(corpus, precision=precision)
    for _ in range(5):
        assert abs(plain.advance() - other.advance()) <= apart
    assert all(p.dtype == torch.float32 for p in other.model.parameters())


def test_time_is_kept_to(corpus):
    began = time.perf_counter()
    recipe = make_recipe(corpus, "mlp", time=1.5, **TINY)
    steps = recipe.steps
    list(events(corpus, recipe))
    assert steps > 10 and time.perf_counter() - began < 15, "no timed test: only that it ends"


def test_one_line_and_a_context_longer_than_every_line_are_learnt():
    corpus = Corpus.of(["ab"], split="none")
    trained = fit(corpus, "mlp", steps=30, context=40, hidden=8, embedding=4, batch=1000)
    assert trained.recipe.batch == 1000
    assert fit(corpus, "mlp-bn", steps=3, batch=1, batch_of="windows").model is not None


def test_recipes_survive_a_dictionary(corpus):
    from moreish.learning.recipe import Recipe

    recipe = make_recipe(corpus, "mlp", **QUICK)
    assert Recipe(**recipe.to_dict()) == recipe
