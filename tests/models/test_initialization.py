"""Named initialisations: every matrix has the variance of its formula, in every network of the catalog."""

from __future__ import annotations

import math
from typing import Any, get_args, get_type_hints

import pytest
import torch

from moreish import Corpus, make_recipe
from moreish.errors import ConfigError
from moreish.layers import BatchNorm, Embedding
from moreish.learning.recipe import Recipe
from moreish.learning.steps import begin
from moreish.models.catalog import MODELS
from moreish.models.initialization import INITIALIZATIONS, check_suits, initialize, maps
from moreish.models.recurrent import Layer
from moreish.models.transformer import Transformer
from moreish.ops.loss import cross_entropy
from moreish.runs.record import RecipeSection

SIZES: dict[str, dict[str, Any]] = {
    "one-layer": {}, "mlp": {"layers": 2, "hidden": 200, "direct": True}, "mlp-bn": {}, "bow": {},
    "rnn": {"hidden": 96, "layers": 2}, "gru": {"hidden": 96}, "lstm": {"hidden": 96}, "tree": {}, "wavenet": {},
    "transformer": {"layers": 1}, "mixture": {},
}  # fmt: skip
WITH_BATCHNORM = ("mlp-bn", "tree")
MENDED_HIDDEN = ("tanh-mended", "kaiming-lecture", "batchnorm")


def network(name: str, how: str, seed: int = 3, **settings: Any) -> Any:
    model = MODELS[name](symbols=90, seed=seed, **{**SIZES[name], **settings})
    initialize(model, how, seed, called=name)
    return model


def spread(parts: Any) -> tuple[float, float]:
    """The variance about 0 of all weights, and twice its standard error where they are normal."""
    every = torch.cat([part.flatten().double() for part in parts])
    return float(every.square().mean()), 4.5 * math.sqrt(2 / len(every))


def suiting() -> list[tuple[str, str]]:
    return [
        (name, how)
        for name in SIZES
        for how in INITIALIZATIONS
        if (how != "batchnorm" or name in WITH_BATCHNORM) and not (name == "one-layer" and how in MENDED_HIDDEN)
    ]


def test_every_network_is_tried():
    assert SIZES.keys() == {name for name, entry in MODELS.items() if entry.learns_by_gradient}


def test_a_run_may_say_each_name_and_no_other():
    assert get_args(get_type_hints(RecipeSection)["initialization"]) == tuple(INITIALIZATIONS)


GAIN = {"tanh": 5 / 3, "relu": 2**0.5, "gelu": 2**0.5, "silu": 2**0.5, "linear": 1.0, "sigmoid": 1.0}


def wanted(each: Any, how: str) -> float:
    """The variance of a map's weights, written out here once more."""
    if how == "kaiming":
        return GAIN[each.then] ** 2 / each.fan_in
    if how == "xavier":
        return 2 / (each.fan_in + each.fan_out)
    if each.output:
        return 1.0 if how == "over-confident" else 0.01**2
    return {"over-confident": 1.0, "softmax-mended": 1.0, "tanh-mended": 0.2**2}.get(how, (5 / 3) ** 2 / each.fan_in)


@pytest.mark.parametrize("name, how", [pair for pair in suiting() if pair[1] not in ("default", "lsuv")])
def test_each_matrix_has_the_variance_of_its_formula(name, how):
    for each in maps(network(name, how)):
        variance, doubt = spread(each.parts)
        assert variance == pytest.approx(wanted(each, how), rel=doubt), (each.then, each.fan_in)


@pytest.mark.parametrize("name", SIZES)
def test_the_maps_are_all_matrices_but_embeddings(name):
    model = network(name, "kaiming")
    seen = {p.data_ptr() for each in maps(model) for p in each.parts}
    for module in model.modules():
        if not isinstance(module, Embedding):
            for key, p in module.named_parameters(recurse=False):
                assert p.dim() < 2 or p.data_ptr() in seen, (type(module).__name__, key)
    fans = {"one-layer": [1]}.get(name)  # one of its inputs is 1, the others are 0
    assert fans is None or [each.fan_in for each in maps(model)] == fans


def test_what_follows_comes_from_the_structure():
    def told(name: str, **settings: Any) -> list[str]:
        return [each.then for each in maps(network(name, "default", **settings))]

    assert told("mlp-bn") == ["tanh", "linear"]
    assert told("rnn", layers=1) == ["tanh", "linear"]
    assert told("gru") == ["sigmoid", "sigmoid", "tanh", "linear"]
    assert told("lstm") == ["sigmoid", "sigmoid", "sigmoid", "tanh", "linear"]
    assert told("wavenet", layers=1) == ["tanh", "sigmoid", "linear", "relu", "linear"]
    assert told("transformer") == ["linear", "linear", "linear", "silu", "linear", "linear"]
    assert told("transformer", feedforward="gelu") == ["linear", "linear", "gelu", "linear", "linear"]
    assert {"tanh", "sigmoid"} == set(told("wavenet")) - {"linear", "relu"}


@pytest.mark.parametrize("name, how", suiting())
def test_the_seed_alone_decides_and_default_is_as_built(name, how):
    first, again = network(name, how), network(name, how)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    built = MODELS[name](symbols=90, seed=3, **SIZES[name]).state_dict()
    same = all(torch.equal(value, built[key]) for key, value in first.state_dict().items())
    assert same == (how == "default")
    other = network(name, how, seed=4)
    assert not all(torch.equal(value, other.state_dict()[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("name", ["mlp", "lstm", "transformer"])
@pytest.mark.parametrize("how", ["kaiming", "xavier", "lsuv"])
def test_the_papers_rules_leave_biases_and_symbols(name, how):
    built, model = network(name, "default"), network(name, how)
    matrices = {p.data_ptr() for each in maps(model) for p in each.parts}
    for (key, before), after in zip(built.named_parameters(), model.parameters()):
        if after.data_ptr() not in matrices:
            assert torch.equal(before, after), key


@pytest.mark.parametrize("name", ["mlp", "gru", "bow", "mixture"])
def test_over_confident_is_everything_of_deviation_1(name):
    for module in network(name, "over-confident").modules():
        for key, p in module.named_parameters(recurse=False):
            variance, doubt = spread([p.detach()])
            assert variance == pytest.approx(1, rel=doubt), (type(module).__name__, key)


def test_mended_biases():
    def biases(how: str) -> tuple[float, float]:
        model = network("mlp", how, direct=False)
        return model.hidden[0].bias.std().item(), model.output.bias.abs().max().item()

    assert biases("softmax-mended") == pytest.approx((1, 0), abs=0.2)
    assert biases("tanh-mended") == biases("kaiming-lecture") == pytest.approx((0.01, 0), abs=0.002)


def test_batchnorm_begins_at_1_and_0():
    for module in network("tree", "batchnorm").modules():
        if isinstance(module, BatchNorm):
            assert bool((module.gain == 1).all()) and not module.bias.any()


def test_orthogonal_weights_are(types_unchecked):
    model = network("gru", "lsuv")
    for each in maps(model):
        whole = torch.cat(each.parts, 1)
        product = whole @ whole.t() if whole.shape[0] <= whole.shape[1] else whole.t() @ whole
        assert torch.allclose(product, torch.eye(len(product)), atol=1e-5)
    assert isinstance(model.layers[0], Layer) and model.layers[0].bias.abs().max() == 0


def test_the_first_loss_is_the_lectures():
    """27.9 nats in the lecture, where the last layer's 200 weights of deviation 1 spread the logits by some 14."""
    corpus = Corpus.read("minerals")
    losses = {}
    for how in ("default", "over-confident", "softmax-mended", "tanh-mended", "kaiming-lecture"):
        recipe = make_recipe(
            corpus, "mlp", steps=1, batch=512, initialization=how, context=3, embedding=10, hidden=200, layers=1
        )
        training = begin(recipe, corpus.train, corpus.alphabet)
        batch = training.batch(0)
        losses[how] = cross_entropy(batch.logits(training.model), batch.targets).item()
    unsure = math.log(len(corpus.alphabet))
    assert 20 < losses.pop("over-confident") < 35
    assert all(abs(loss - unsure) < 0.06 for loss in losses.values()), losses


@pytest.mark.parametrize(
    "name, settings, said",
    [
        ("mlp", {"initialization": "kaimng"}, "Did you mean 'kaiming'?"),
        ("mlp", {"initialization": "batchnorm"}, "mlp has none. Use mlp-bn or tree"),
        ("one-layer", {"initialization": "tanh-mended"}, "one-layer has none"),
        ("one-layer", {"initialization": "kaiming", "closed_form": True}, "takes no steps"),
        ("transformer", {"initialization": "lsuv", "tie": True}, "--tie false"),
        ("ngram", {"initialization": "kaiming"}, "fitted by counting"),
    ],
)
def test_what_means_nothing_is_refused(name, settings, said):
    with pytest.raises(ConfigError, match="initialization") as error:
        make_recipe(Corpus.read("minerals"), name, **settings)
    assert said in str(error.value)


def test_by_function_too():
    with pytest.raises(ConfigError, match="kaiming"):
        Recipe("mlp", initialization="Kaiming")
    with pytest.raises(ConfigError, match="fitted by counting"):
        check_suits("kaiming", MODELS["bigram"](symbols=5), "bigram")
    tied = Transformer(MODELS["transformer"].configure(symbols=90, tie=True), seed=1)
    initialize(tied, "kaiming", 1)
    assert tied.embedding.weight.var().item() == pytest.approx(1 / 64, rel=0.1)
