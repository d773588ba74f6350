"""Layer-sequential unit variance on a batch of the list, against torch's own arithmetic; and runs that begin so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from moreish import Corpus, fit, load, make_recipe, save
from moreish.layers import BatchNorm, Dropout
from moreish.learning import lsuv
from moreish.learning.lsuv import TOLERANCE, scale, scale_on_list, variances
from moreish.learning.steps import begin
from moreish.models.catalog import MODELS
from moreish.models.initialization import initialize

SIZES: dict[str, dict[str, Any]] = {
    "one-layer": {"lr": 0.1}, "mlp": {"hidden": 40, "layers": 3}, "mlp-bn": {"hidden": 40}, "bow": {},
    "rnn": {"hidden": 32, "layers": 2}, "gru": {"hidden": 32}, "lstm": {"hidden": 32}, "tree": {"hidden": 32},
    "wavenet": {"width": 24, "skip": 24}, "transformer": {"layers": 1}, "mixture": {"gate": 16, "scorer": 16},
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.of(Corpus.read("minerals").train[:250])


def begun(corpus: Corpus, name: str, **settings: Any) -> Any:
    recipe = make_recipe(corpus, name, steps=3, initialization="lsuv", **{**SIZES[name], **settings, "batch": 64})
    return begin(recipe, corpus.train, corpus.alphabet)


def lsuv_batch(training: Any) -> Any:
    rows = torch.randperm(training.batches.lines, generator=lsuv.stream(training.recipe.seed, "weights/lsuv/lines"))
    return training.batches.of(rows[: lsuv.LINES].numpy())


@pytest.mark.parametrize("name", SIZES)
def test_each_layers_sums_have_unit_variance(name, corpus):
    training = begun(corpus, name)
    batch = lsuv_batch(training)
    training.model.train()
    for module in training.model.modules():
        if isinstance(module, Dropout):
            module.eval()
    found = variances(training.model, lambda: batch.logits(training.model))
    assert len(found) >= 1 and all(abs(variance - 1) <= TOLERANCE for variance in found), found
    if name in ("one-layer", "mlp", "mlp-bn", "tree"):  # the others compute what lines share once
        with torch.no_grad():  # the last layer's, from outside
            logits = batch.logits(training.model)
        assert abs(logits.var(correction=0).item() - 1) <= TOLERANCE


@pytest.mark.parametrize("name, settings", [("rnn", {}), ("gru", {}), ("gru", {"reset": "before"}), ("lstm", {})])
def test_a_recurrent_layers_sums_are_what_its_gates_are_applied_to(name, settings):
    """The states made again, turn by turn, by the ops for one step; the gates of each from the sums of the layer."""
    model: Any = MODELS[name](symbols=9, embedding=5, hidden=4, seed=1, **settings).double()
    with torch.no_grad():
        for bias in (model.layers[0].bias, model.layers[0].candidate):
            if bias is not None:
                bias.normal_()
    layer, kept = model.layers[0], []
    tokens = torch.randint(9, (3, 6))
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append((layer.sums(inputs, output), output)))
    model(tokens, model.begin(3))
    hook.remove()
    sums, states = kept[0][0].view(6, 3, -1), kept[0][1].view(6, 3, -1)
    h, cell = torch.zeros(3, 4).double(), torch.zeros(3, 4).double()
    for turn in range(6):
        gates = list(sums[turn].chunk(len(layer.then), 1))
        if name == "rnn":
            h = gates[0].tanh()
        elif name == "gru":
            z, n = gates[1].sigmoid(), gates[2].tanh()
            h = z * h + (1 - z) * n
        else:
            o, i, f, g = gates[0].sigmoid(), gates[1].sigmoid(), gates[2].sigmoid(), gates[3].tanh()
            cell = f * cell + i * g
            h = o * cell.tanh()
        assert torch.allclose(states[turn, :, :4], h, atol=1e-12)


def test_a_stack_of_torchs_own_layers_agrees():
    """The MLP's hidden layers again, with nn.Linear on the same weights: variances by numpy's formula."""
    corpus = Corpus.read("minerals")
    training = begun(corpus, "mlp")
    model, batch = training.model, lsuv_batch(training)
    at = torch.cat([model.begin(len(batch.lengths)), torch.zeros(len(batch.lengths), 1)], 1)
    assert at.shape[1] == model.context
    windows = []
    for line in batch.tokens.split(batch.lengths.tolist()):
        padded = torch.cat([torch.zeros(model.context - 1, dtype=torch.long), line])
        windows += [padded[i : i + model.context] for i in range(len(line))]
    x = nn.functional.embedding(torch.stack(windows), model.embedding.weight).flatten(1)
    for layer in [*model.hidden, model.output]:
        x = nn.functional.linear(x, layer.weight, layer.bias)
        assert abs(x.detach().double().numpy().var() - 1) <= TOLERANCE
        x = x.tanh()


def test_nothing_is_left_behind(corpus):
    """Running statistics, modes and hooks are as before; and so is a layer whose sums do not vary."""
    recipe = make_recipe(corpus, "mlp-bn", hidden=8, steps=1)
    training = begin(recipe, corpus.train, corpus.alphabet)
    model = training.model.eval()
    initialize(model, "lsuv", 0)
    nn.init.zeros_(model.output.weight)
    scale_on_list(model, training.batches, 0)
    assert not model.training and not any(module.training for module in model.modules())
    norm = next(module for module in model.modules() if isinstance(module, BatchNorm))
    assert not norm.running_mean.any() and bool((norm.running_variance == 1).all())
    assert not any(module._forward_hooks for module in model.modules())
    assert not model.output.weight.any()


def test_a_layer_that_is_off_is_scaled_and_others_are_not():
    layer = nn.Sequential(lsuv_linear := _linear(), second := _linear())
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    scale(layer, lambda: layer(x))
    before = second.weight.clone()
    with torch.no_grad():
        lsuv_linear.weight.mul_(10)
        second.weight.div_(10)  # so that the second's sums stay as they were
    scale(layer, lambda: layer(x))
    assert torch.allclose(second.weight, before, rtol=0.02)
    assert abs(layer[0](x).var().item() - 1) <= 2 * TOLERANCE


def _linear() -> Any:
    return type(MODELS["mlp"](symbols=3).output)(6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("how", ["kaiming", "lsuv", "over-confident"])
def test_a_run_keeps_how_it_began_and_goes_on_to_the_bit(how, corpus, tmp_path):
    asked = {"hidden": 6, "layers": 1, "dropout": 0.0, "initialization": how, "batch": 16, "seed": 5}
    whole = begin(make_recipe(corpus, "mlp", steps=4, **asked), corpus.train, corpus.alphabet)
    for _ in range(2):
        whole.advance()
    cut = begin(whole.recipe, corpus.train, corpus.alphabet)
    cut.load(whole.progress, {name: tensor.clone() for name, tensor in whole.tensors().items()})
    for training in (whole, cut):
        while training.step < 4:
            training.advance()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, cut.tensors()[name]), name
    trained = fit(corpus, "mlp", steps=4, **asked)
    save(trained, tmp_path / "run")
    assert load(tmp_path / "run").recipe.initialization == how
    assert f'initialization = "{how}"' in (tmp_path / "run" / "run.toml").read_text()


def test_the_one_layer_network_may_begin_so_too(corpus):
    ends = {how: fit(corpus, "one-layer", steps=60, initialization=how) for how in ("default", "lsuv", "kaiming")}
    weights = [trained.model.weight for trained in ends.values()]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
