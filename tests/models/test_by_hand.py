"""Every network learns by its hand-written gradients as it does by autograd's: step after step, weight by weight."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch

import moreish
from moreish.errors import ConfigError, LawBroken
from moreish.layers import set_dropout
from moreish.learning.fit import make_recipe
from moreish.learning.steps import begin
from moreish.learning.training import Training
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.models.model import config_to_dict
from moreish.ops import recurrence
from moreish.ops.loss import cross_entropy
from moreish.ops.op import by_autograd, by_hand
from quick import NETWORKS, SMALL, checked_before

STEPS, LR = 200, 0.05
CHECKED = 20
"""Steps whose shapes are checked: the whole list once."""
WITHIN = {torch.float32: 1e-4, torch.float64: 1e-11}
OF_VIEWS = {
    "AccumulateGrad", "Expand", "Permute", "ReshapeAlias", "Select", "Slice", "Split", "SplitWithSizes", "T",
    "Transpose", "Unbind", "UnsafeView", "Unsqueeze", "View",
}  # fmt: skip
"""What autograd may still do by itself: put a gradient where the numbers were read from."""

SWITCHED = {
    "mlp, direct, 2 layers": ("mlp", {"direct": True, "layers": 2, "blank": True}),
    "bow, dropout": ("bow", {"dropout": 0.2}),
    "rnn, learnt start": ("rnn", {"learnt_start": True, "dropout": 0.0}),
    "gru, reset before, 2 layers": ("gru", {"reset": "before", "layers": 2}),
    "lstm, 2 layers": ("lstm", {"layers": 2, "dropout": 0.2}),
    "wavenet, 2 blocks": ("wavenet", {"blocks": 2, "layers": 2}),
    "transformer of GPT-2's parts": ("transformer", {"norm": "layer", "positions": "learnt", "feedforward": "gelu"}),
    "transformer, tied": ("transformer", {"tie": True, "feedforward": "gelu"}),
}
"""Parts that a model has by choice."""
PARTS = {**{name: (name, {}) for name in NETWORKS}, **SWITCHED}
RUNS = [(name, dtype, STEPS) for name in NETWORKS for dtype in WITHIN]
RUNS += [(name, torch.float64, STEPS // 5) for name in SWITCHED]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> moreish.Corpus:
    few = tmp_path_factory.mktemp("list") / "few.txt"
    few.write_text("\n".join(moreish.Corpus.read("dinosaurs").train[:40]) + "\n")
    return moreish.Corpus.read(few)


def training(corpus, name: str, dtype: torch.dtype = torch.float64, **learning) -> Training:
    model, settings = PARTS[name]
    asked = {**SMALL.get(model, {}), **settings, "steps": STEPS, "lr": LR, "optimizer": "sgd", "batch": 2, **learning}
    made = begin(make_recipe(corpus, model, **asked), corpus.train, corpus.alphabet)
    return Training(made.recipe, made.model.to(dtype), made.batches)


@pytest.mark.parametrize("name, dtype, steps", RUNS, ids=str)
def test_two_hundred_steps_by_hand_end_where_autograds_do(name, dtype, steps, corpus):
    ours, theirs = (training(corpus, name, dtype) for _ in range(2))
    before = copy.deepcopy(ours.model.state_dict())
    for step in range(steps):
        with nullcontext() if step < CHECKED else checked_before():
            with by_hand():
                ours.advance()
            with by_autograd():
                theirs.advance()
    moved = 0.0
    for (key, mine), other in zip(ours.model.state_dict().items(), theirs.model.state_dict().values()):
        if mine.is_floating_point() and mine.numel():
            assert (mine - other).abs().max() <= WITHIN[dtype], key
            moved = max(moved, float((mine - before[key]).abs().max()))
    assert moved > 100 * WITHIN[torch.float32]


@pytest.mark.parametrize("name", PARTS)
def test_by_hand_autograd_computes_nothing_but_where_views_lead(name, corpus):
    of = training(corpus, name)
    names: set[str] = set()

    def walk(node):
        if node is not None and node not in seen:
            seen.add(node)
            names.add(node.name().removeprefix("torch::autograd::"))
            for child, _ in node.next_functions:
                walk(child)

    batch = of.batch(0)
    of.model.train()
    set_dropout(of.model, torch.Generator().manual_seed(0))
    seen: set = set()
    with by_hand():
        walk(cross_entropy(batch.logits(of.model), batch.targets).grad_fn)
    left = {each.rstrip("0123456789").removesuffix("Backward") for each in names} - OF_VIEWS
    assert left == {"_ByHand"}


@pytest.mark.parametrize("name", PARTS)
def test_by_autograd_nothing_by_hand_is_left(name, corpus):
    of, seen = training(corpus, name), set()

    def walk(node):
        if node is not None and node not in seen:
            seen.add(node)
            assert "_ByHand" not in node.name() and "_Decoder" not in node.name()
            for child, _ in node.next_functions:
                walk(child)

    batch = of.batch(0)
    of.model.train()
    set_dropout(of.model, torch.Generator().manual_seed(0))
    with by_autograd():
        walk(cross_entropy(batch.logits(of.model), batch.targets).grad_fn)
    assert len(seen) > 3


def test_a_wrong_backward_that_is_always_used_is_seen(corpus, monkeypatch):
    right = recurrence.gru_rows.backward

    def wrong(*args, **named):
        found = right(*args, **named)
        return {**found, "weight": found["weight"] * 1.5}

    monkeypatch.setattr(recurrence.gru_rows, "backward", wrong)
    ours, theirs = (training(corpus, "gru") for _ in range(2))
    for _ in range(40):
        ours.advance()
        with by_autograd():
            theirs.advance()
    apart = [(a - b).abs().max() for a, b in zip(ours.model.parameters(), theirs.model.parameters())]
    assert max(apart) > 1e-6
    with pytest.raises(LawBroken, match="gradients-by-hand"):
        check_model(MODELS["gru"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("name", ["mlp-bn", "gru", "transformer"])
def test_at_equal_weights_gradients_are_equal_whatever_takes_the_steps(name, optimizer, corpus):
    # Parameters are not compared: what is zero in theory is rounding noise, which Adam turns into whole steps.
    of = training(corpus, name, optimizer=optimizer, lr=0.01, weight_decay=0.1)
    for step in range(20):
        batch, found = of.batch(step), []
        for hand in (True, False):
            with by_hand() if hand else by_autograd():
                of.gradient(batch, step)
            found.append([p.grad.clone() for p in of.model.parameters()])
        largest = max(float(g.abs().max()) for g in found[1])
        for mine, other in zip(*found, strict=True):
            assert (mine - other).abs().max() <= 1e-11 * max(1.0, largest)
        of.advance()


def test_one_layer_descends_on_the_whole_list_by_hand(corpus):
    asked = {"model": "one-layer", "steps": 30, "weight_decay": 0.01}
    ours, theirs = moreish.fit(corpus, by_hand=True, **asked), moreish.fit(corpus, **asked)
    apart = (ours.model.weight - theirs.model.weight).abs().max()
    assert 0 <= apart < 1e-4 and ours.recipe.by_hand


@pytest.mark.parametrize("name", NETWORKS)
def test_fit_inside_by_hand_and_with_the_flag_are_one(name, corpus):
    asked = {**SMALL.get(name, {}), "steps": 3, "batch": 8}
    with by_hand():
        inside = moreish.fit(corpus, name, **asked)
    told = moreish.fit(corpus, name, **asked, by_hand=True)
    plain = moreish.fit(corpus, name, **asked)
    assert config_to_dict(inside.model.config) == config_to_dict(told.model.config)
    for a, b, c in zip(*(t.model.state_dict().values() for t in (inside, told, plain))):
        assert torch.equal(a, b)
        assert not a.is_floating_point() or torch.allclose(a, c, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "other, said", [({"compile": True}, "writes gradients of its own"), ({"precision": "bfloat16"}, "in float32, not")]
)
def test_what_does_not_go_with_it_is_refused(other, said, corpus):
    with pytest.raises(ConfigError, match=said):
        moreish.fit(corpus, "mlp-bn", steps=1, by_hand=True, **other)
    with by_hand(), pytest.raises(ConfigError, match=said):
        moreish.fit(corpus, "mlp-bn", steps=1, **other)


def test_counting_has_no_gradient(corpus):
    with pytest.raises(ConfigError, match="fitted by counting, so --by-hand has no meaning"):
        moreish.fit(corpus, "ngram", by_hand=True)
