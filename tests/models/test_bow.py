"""The bag of words, against makemore's formula: attention that looks at everything alike."""

from __future__ import annotations

import pytest
import torch

from moreish.errors import ConfigError
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.randomness import stream


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("context", [1, 4, 32])
def test_it_keeps_the_laws(context, double):
    def factory(**asked):
        model = MODELS["bow"](context=context, **asked)
        return model.double() if double else model

    check_model(factory)


def test_it_is_uniform_attention_and_a_small_network():
    model = MODELS["bow"](symbols=7, seed=1, embedding=6, hidden=5, context=12).double().eval()
    tokens = torch.randint(7, (3, 12), generator=stream(0, "tokens"))
    x = model.embedding.weight[tokens] + model.positions.weight[:12]
    mask = torch.full((12, 12), float("-inf"), dtype=torch.float64).triu(1)
    x = x + torch.softmax(mask, -1) @ x
    x = x + torch.tanh(x @ model.up.weight.T + model.up.bias) @ model.down.weight.T + model.down.bias
    wanted = x @ model.output.weight.T + model.output.bias
    assert torch.allclose(model(tokens, model.begin(3))[0], wanted, rtol=0, atol=1e-12)


def test_beyond_its_table_the_last_position_goes_on():
    model = MODELS["bow"](symbols=7, seed=1, context=3).double().eval()
    with torch.no_grad():
        model.positions.weight[:] = torch.arange(3)[:, None]
    tokens = torch.zeros(1, 6, dtype=torch.long)
    _, state = model(tokens, model.begin(1))
    x = 6 * model.embedding.weight[0] + sum((0, 1, 2, 2, 2, 2))
    assert state.count.tolist() == [6] and torch.allclose(state.total[0], x)


REFUSED = [
    ({"context": 0}, "context=0"),
    ({"embedding": 10**6, "hidden": 10**7}, "GiB"),
    ({"dropout": 1}, "dropout=1"),
]


@pytest.mark.parametrize("asked, said", REFUSED, ids=str)
def test_what_cannot_be_is_refused(asked, said, types_unchecked):
    with pytest.raises(ConfigError, match=said):
        MODELS["bow"](symbols=27, **asked)
