"""WaveNet, against torch's own convolutions, and read symbol by symbol with queues."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from moreish.errors import ConfigError
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.randomness import stream

SMALL = {"width": 6, "skip": 5, "layers": 3, "blocks": 2, "dropout": 0.0}


def small(**asked):
    return MODELS["wavenet"](symbols=7, seed=1, **{**SMALL, **asked}).double().eval()


def tokens_of(rows: int, long: int) -> torch.Tensor:
    tokens = torch.randint(1, 7, (rows, long), generator=stream(0, "tokens"))
    tokens[:, 0] = 0
    return tokens


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("layers, blocks", [(1, 1), (3, 1), (2, 2)])
def test_it_keeps_the_laws(layers, blocks, double):
    def factory(**asked):
        model = MODELS["wavenet"](width=16, skip=16, layers=layers, blocks=blocks, **asked)
        return model.double() if double else model

    check_model(factory)


@pytest.mark.parametrize("layers, blocks, dilations, field", [
    (4, 1, (1, 2, 4, 8), 16), (3, 2, (1, 2, 4, 1, 2, 4), 15), (10, 1, tuple(2**i for i in range(10)), 1024),
])  # fmt: skip
def test_the_receptive_field_is_the_papers(layers, blocks, dilations, field):
    config = MODELS["wavenet"].configure(symbols=3, layers=layers, blocks=blocks)
    assert config.dilations == dilations and config.receptive_field == field


@pytest.mark.parametrize("layers, blocks", [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_nothing_beyond_the_receptive_field_is_seen_and_its_edge_is(layers, blocks):
    model = small(layers=layers, blocks=blocks, skip=32)  # so many that not all are cut off by the relu
    reach = model.config.receptive_field
    tokens = tokens_of(1, reach + 5)
    last = model(tokens, model.begin(1))[0][:, -1]
    for back, seen in ((reach - 1, True), (reach, False)):
        changed = tokens.clone()
        changed[0, -1 - back] = changed[0, -1 - back] % 6 + 1
        assert bool((model(changed, model.begin(1))[0][:, -1] != last).any()) == seen


def test_it_is_torchs_convolutions_over_a_line_with_boundary_symbols_before_it():
    model = small()
    tokens = tokens_of(2, 12)
    reach = model.config.receptive_field
    padded = torch.cat([torch.zeros(2, reach, dtype=torch.long), tokens], 1)
    x = model.embedding.weight[padded].transpose(1, 2)
    skips = []
    for layer, dilation in zip(model.layers, model.config.dilations):
        kernel = torch.stack(layer.gated.weight.chunk(2, 1), -1)
        filtered, gate = F.conv1d(x, kernel, layer.gated.bias, dilation=dilation).chunk(2, 1)
        out = torch.tanh(filtered) * torch.sigmoid(gate)
        skips.append(F.conv1d(out, layer.skip.weight[..., None], layer.skip.bias)[..., -12:])
        if layer.residual is not None:
            x = x[..., -out.shape[-1] :] + F.conv1d(out, layer.residual.weight[..., None], layer.residual.bias)
    mixed = torch.relu(F.conv1d(torch.relu(sum(skips)), model.mix.weight[..., None], model.mix.bias))
    wanted = F.conv1d(mixed, model.output.weight[..., None], model.output.bias).transpose(1, 2)
    assert torch.allclose(model(tokens, model.begin(2))[0], wanted, rtol=0, atol=1e-12)


def test_symbol_by_symbol_with_queues_is_the_whole_line_at_once():
    model = small()
    tokens = tokens_of(3, 20)
    whole, _ = model(tokens, model.begin(3))
    state, parts = model.begin(3), []
    for t in range(20):
        logits, state = model(tokens[:, t : t + 1], state)
        parts.append(logits)
        assert [queue.shape for queue in state] == [(3, d, 6) for d in model.config.dilations]
    assert torch.allclose(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)


def test_lines_end_to_end_are_lines_one_by_one():
    model = small()
    lengths = torch.tensor([9, 5, 5, 2, 1])
    rows = [tokens_of(1, n)[0] for n in lengths.tolist()]
    found = model.read_lines(torch.cat(rows), lengths).split(lengths.tolist())
    for row, logits in zip(rows, found):
        assert torch.allclose(model(row[None], model.begin(1))[0][0], logits, rtol=0, atol=1e-12)


REFUSED = [
    ({"layers": 0}, "layers=0"),
    ({"layers": 40}, "layers=40"),
    ({"blocks": 10**9}, "blocks="),
    ({"width": 10**6, "skip": 10**6}, "GiB"),
    ({"dropout": -0.1}, "dropout=-0.1"),
    ({"skip": "9"}, "skip='9'"),
]


@pytest.mark.parametrize("asked, said", REFUSED, ids=str)
def test_what_cannot_be_is_refused(asked, said, types_unchecked):
    with pytest.raises(ConfigError, match=said):
        MODELS["wavenet"](symbols=27, **asked)
