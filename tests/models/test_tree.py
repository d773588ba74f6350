"""The tree, against the lecture's own count of parameters, torch's BatchNorm, and dilated convolution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from moreish.errors import ConfigError
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.models.model import windows_of
from moreish.ops.convolve import convolve_pair, fuse
from moreish.randomness import stream


def test_it_has_the_lectures_parameters():
    for hidden, embedding, count in ((128, 24, 76_579), (68, 10, 22_397)):  # makemore part 5, its last two nets
        model = MODELS["tree"](symbols=27, seed=0, hidden=hidden, embedding=embedding)
        assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("context", [2, 4, 16])
def test_it_keeps_the_laws(context, double):
    def factory(**asked):
        model = MODELS["tree"](context=context, hidden=32, **asked)
        return model.double() if double else model

    check_model(factory)


def test_learning_it_is_the_lectures_layers():
    model = MODELS["tree"](symbols=7, seed=1, embedding=5, hidden=6, context=8).double().train()
    windows = torch.randint(7, (20, 8), generator=stream(0, "windows"))
    x = model.embedding.weight[windows]
    for hidden, norm in zip(model.hidden, model.norms):
        x = x.reshape(20, x.shape[1] // 2, x.shape[2] * 2) @ hidden.weight.T  # FlattenConsecutive(2)
        theirs = torch.nn.BatchNorm1d(6).double()
        theirs.weight.data, theirs.bias.data = norm.gain.data, norm.bias.data
        x = torch.tanh(theirs(x.transpose(1, 2)).transpose(1, 2))  # torch wants channels second
    wanted = x.squeeze(1) @ model.output.weight.T + model.output.bias
    assert torch.allclose(model.score(windows), wanted, rtol=0, atol=1e-12)


def test_running_statistics_are_those_of_every_axis_but_the_last():
    model = MODELS["tree"](symbols=7, seed=1, embedding=5, hidden=6).double().train()
    windows = torch.randint(7, (20, 8), generator=stream(0, "windows"))
    before = fuse(model.embedding(windows)) @ model.hidden[0].weight.T
    model.score(windows)
    flat = before.reshape(-1, 6)
    assert torch.allclose(model.norms[0].running_mean, 0.1 * flat.mean(0), atol=1e-12)
    assert torch.allclose(model.norms[0].running_variance, 0.9 + 0.1 * flat.var(0), atol=1e-12)


def test_a_tree_and_dilated_convolutions_agree():
    """At every position of a line, the tree of its last 8 symbols is three convolutions of dilation 1, 2 and 4."""
    random = stream(3, "tree")
    tokens = torch.cat([torch.zeros(1, dtype=torch.long), torch.randint(1, 7, (20,), generator=random)])
    table = torch.randn(7, 5, generator=random, dtype=torch.float64)
    weights = [torch.randn(6, 2 * k, generator=random, dtype=torch.float64) for k in (5, 6, 6)]
    x = table[windows_of(tokens, torch.tensor([21]), 8)]
    for weight in weights:
        x = torch.tanh(fuse(x) @ weight.T)
    whole = table[torch.cat([torch.zeros(7, dtype=torch.long), tokens])].T[None]  # boundary symbols before the line
    slid, before = whole, table[torch.zeros(7, dtype=torch.long)]
    pairs = table[tokens]
    for weight, dilation in zip(weights, (1, 2, 4)):
        kernel = torch.stack(weight.chunk(2, 1), -1)
        slid = torch.tanh(F.conv1d(slid, kernel, dilation=dilation))
        reach = torch.cat([before[:1].expand(dilation, -1), pairs])
        pairs = torch.tanh(convolve_pair(reach[: len(tokens)], pairs, weight))
        before = torch.tanh(convolve_pair(before[:1], before[:1], weight))
    assert torch.allclose(slid[0].T, x[:, 0], rtol=0, atol=1e-12)
    assert torch.allclose(pairs, x[:, 0], rtol=0, atol=1e-12)


REFUSED = [
    ({"context": 6}, "context=6 is not a power of two.*Use 4 or 8"),
    ({"context": 1}, "context=1"),
    ({"embedding": 0}, "embedding=0"),
    ({"hidden": 10**9}, "hidden="),
    ({"hidden": 10**6, "context": 1024}, "GiB"),
    ({"dropout": 1.0}, "dropout=1.0"),
]


@pytest.mark.parametrize("asked, said", REFUSED, ids=str)
def test_what_cannot_be_is_refused(asked, said, types_unchecked):
    with pytest.raises(ConfigError, match=said):
        MODELS["tree"](symbols=27, **asked)
