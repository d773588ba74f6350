"""The transformer, against torch's own attention, normalisations and activations, and read with what it keeps."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from moreish.errors import ConfigError
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.models.transformer import Transformer, TransformerConfig
from moreish.randomness import stream

SMALL = {"width": 12, "heads": 3, "layers": 2, "context": 6, "dropout": 0.0}
PARTS = [
    dict(zip(("norm", "positions", "feedforward"), parts))
    for parts in itertools.product(("layer", "rms"), ("learnt", "rotary"), ("gelu", "swiglu"))
]


def small(**asked) -> Transformer:
    """A small one whose weights are no longer those of a beginning, in float64."""
    model = MODELS["transformer"](symbols=7, seed=1, **{**SMALL, **asked}).double()
    generator = stream(3, "stir")
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    assert isinstance(model, Transformer)
    return model


def tokens_of(rows: int, long: int) -> torch.Tensor:
    tokens = torch.randint(1, 7, (rows, long), generator=stream(0, "tokens"))
    tokens[:, 0] = 0
    return tokens


def as_torch(model: Transformer, tokens: torch.Tensor) -> torch.Tensor:
    """The same model written with torch's functions alone, by the papers."""
    config = model.config
    rows, long = tokens.shape
    each = config.width // config.heads

    def norm(x, of):
        if config.norm == "rms":
            return F.rms_norm(x, (config.width,), of.gain, 1e-5)
        return F.layer_norm(x, (config.width,), of.gain, of.bias, 1e-5)

    def turned(x):
        """Su et al. 2021 in complex numbers: pair (i, i + half) of place m is multiplied by exp(i m theta_i)."""
        theta = 10_000.0 ** (-torch.arange(0, each, 2, dtype=torch.float64) / each)
        angle = torch.arange(long, dtype=torch.float64)[:, None] * theta
        pairs = torch.complex(x[..., : each // 2], x[..., each // 2 :])
        pairs = pairs * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([pairs.real, pairs.imag], -1)

    x = model.embedding.weight[tokens]
    if config.positions == "learnt":
        x = x + model.positions.weight[torch.arange(long).clamp(max=config.context - 1)]
    apart = torch.arange(long)[:, None] - torch.arange(long)
    mask = (apart >= 0) & (apart < config.context)
    for block in model.blocks:
        qkv = F.linear(norm(x, block.norm_1), block.qkv.weight, block.qkv.bias)
        q, k, v = (part.view(rows, long, config.heads, each).transpose(1, 2) for part in qkv.chunk(3, -1))
        if config.positions == "rotary":
            q, k = turned(q), turned(k)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(rows, long, -1)
        x = x + F.linear(mixed, block.merge.weight, block.merge.bias)
        up = F.linear(norm(x, block.norm_2), block.up.weight, block.up.bias)
        if config.feedforward == "gelu":
            up = F.gelu(up, approximate="tanh")
        else:
            up = up * F.silu(F.linear(norm(x, block.norm_2), block.gate.weight, block.gate.bias))
        x = x + F.linear(up, block.down.weight, block.down.bias)
    output = model.embedding.weight if config.tie else model.output.weight
    return F.linear(norm(x, model.norm), output)


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(parts.values()))
def test_it_is_the_papers_in_torchs_functions(parts, tie):
    model = small(**parts, tie=tie).eval()
    tokens = tokens_of(3, 9)  # longer than its context
    found, _ = model(tokens, model.begin(3))
    assert torch.allclose(found, as_torch(model, tokens), rtol=0, atol=1e-12)


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(parts.values()))
def test_symbol_by_symbol_with_what_it_keeps_is_the_whole_line_at_once(parts):
    model = small(**parts).eval()
    tokens = tokens_of(3, 15)
    whole, _ = model(tokens, model.begin(3))
    for pieces in ([1] * 15, [4, 1, 10], [0, 15]):
        state, found = model.begin(3), []
        for piece in tokens.split(pieces, 1):
            logits, state = model(piece, state)
            found.append(logits)
        assert torch.allclose(torch.cat(found, 1), whole, rtol=0, atol=1e-12)


def test_two_readings_from_one_state_never_meet():
    model = small().eval()
    _, state = model(tokens_of(2, 4), model.begin(2))
    one, other = tokens_of(2, 3) % 3 + 1, tokens_of(2, 3) % 2 + 4
    before = model(one, state)[0].clone()
    model(other, state)
    assert torch.equal(model(one, state)[0], before)


def test_many_rows_are_read_as_few(monkeypatch):
    model = small().eval()
    tokens = tokens_of(5, 8)
    wanted = [model(tokens, model.begin(5))[0]]
    monkeypatch.setattr("moreish.models.transformer.MANY_ROWS", 1)
    state, found = model.begin(5), []
    with torch.no_grad():
        for token in tokens.split(1, 1):
            logits, state = model(token, state)
            found.append(logits)
    assert torch.allclose(torch.cat(found, 1), wanted[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(parts.values()))
def test_lines_end_to_end_are_read_as_each_alone(parts):
    model = small(**parts).eval()
    lines = [tokens_of(1, long)[0] for long in (1, 4, 9, 2, 2)]
    found = model.read_lines(torch.cat(lines), torch.tensor([len(line) for line in lines]))
    wanted = torch.cat([as_torch(model, line[None])[0] for line in lines])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_all_blocks_at_once_have_the_gradients_of_autograd(layers):
    """`ops/block.py` writes its backward by hand."""
    tokens, lengths = torch.cat([tokens_of(1, n)[0] for n in (5, 3, 3, 1)]), torch.tensor([5, 3, 3, 1])
    incoming = torch.randn(12, 7, generator=stream(2, "incoming"), dtype=torch.float64)
    results = []
    for fused in (True, False):
        model = small(layers=layers, **PARTS[0]).train()
        model.fused = fused
        logits = model.read_lines(tokens, lengths)
        names, parameters = zip(*model.named_parameters())
        results.append((logits, dict(zip(names, torch.autograd.grad(logits, parameters, incoming)))))
    (ours, gradients), (wanted, by_autograd) = results
    assert type(ours.grad_fn).__name__ != type(wanted.grad_fn).__name__, "two ways"
    assert torch.allclose(ours, wanted, rtol=0, atol=1e-11)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, by_autograd[name], rtol=1e-9, atol=1e-10), name


def test_dropout_drops_in_either_way_and_keeps_the_mean():
    tokens, lengths = tokens_of(1, 6)[0], torch.tensor([6])
    for parts in (PARTS[0], PARTS[-1]):
        model = small(**parts, dropout=0.1).train()
        apart = torch.stack([model.read_lines(tokens, lengths) for _ in range(2)])
        assert not torch.equal(*apart)
        model.eval()
        assert torch.equal(model.read_lines(tokens, lengths), model.read_lines(tokens, lengths))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("parts", [PARTS[0], PARTS[-1], {"tie": True}], ids=str)
def test_it_keeps_the_laws(parts, double):
    def factory(**asked):
        model = MODELS["transformer"](width=16, heads=2, layers=2, **parts, **asked)
        return model.double() if double else model

    check_model(factory)


def test_makemores_sizes_have_makemores_parameters():
    config = MODELS["transformer"].configure(symbols=27, context=16, **PARTS[0])
    model = MODELS["transformer"].build(config)
    block = 4 * 64 * 64 + 4 * 64 + 8 * 64 * 64 + 5 * 64 + 4 * 64
    assert sum(p.numel() for p in model.parameters()) == 27 * 64 + 16 * 64 + 4 * block + 2 * 64 + 27 * 64


REFUSED = [
    ({"width": 10, "heads": 4}, r"heads=2 or heads=5, or width=\d+"),
    ({"width": 6, "heads": 2, "positions": "rotary"}, "gives each head 3"),
    ({"norm": "batch"}, "norm='batch'"),
    ({"positions": "sine"}, "positions='sine'"),
    ({"feedforward": "relu"}, "feedforward='relu'"),
    ({"context": 0}, "context=0"),
    ({"tie": 1}, "tie=1"),
    ({"dropout": math.nan}, "dropout=nan"),
    ({"width": 10**6, "heads": 1}, "weights"),
]


@pytest.mark.parametrize("asked, words", REFUSED, ids=str)
def test_settings_that_cannot_be_are_refused(asked, words, types_unchecked):
    with pytest.raises(ConfigError, match=words):
        TransformerConfig(symbols=27, **asked)
