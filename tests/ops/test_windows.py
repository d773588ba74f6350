"""The map of embedded windows by the slots' table, against torch's own embedding and linear map."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from moreish.models.catalog import MODELS
from moreish.ops.windows import FEW, WORTH, embed_linear, slot_table
from moreish.randomness import stream


def given(count: int, context: int = 4, symbols: int = 7, width: int = 5, hidden: int = 6):
    draw = stream(count, "windows")
    ids = torch.randint(symbols, (count, context), generator=draw)
    shapes = ((symbols, width), (hidden, context * width), (hidden,))
    return ids, *(torch.randn(s, generator=draw, dtype=torch.float64).requires_grad_() for s in shapes)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("count", [0, 1, 40, FEW, FEW + 1])
def test_it_is_torchs_embedding_and_linear_map(count, biased):
    ids, table, weight, bias = given(count)
    wanted = F.linear(F.embedding(ids, table).flatten(1), weight, bias if biased else None)
    found = embed_linear(ids, table, weight, bias if biased else None)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    incoming = torch.randn(wanted.shape, generator=stream(1, "incoming"), dtype=torch.float64)
    asked = [table, weight, bias] if biased else [table, weight]
    for ours, theirs in zip(
        torch.autograd.grad(found, asked, incoming), torch.autograd.grad(wanted, asked, incoming), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-11)


def test_its_gradient_is_that_of_finite_differences():
    ids, table, weight, bias = given(9)
    assert torch.autograd.gradcheck(lambda *p: embed_linear(ids, *p), (table, weight, bias))


def test_a_row_of_the_table_is_one_symbol_in_one_slot():
    _, table, weight, _ = given(1)
    found = slot_table(table, weight)
    for slot in range(4):
        for symbol in range(7):
            wanted = weight[:, 5 * slot : 5 * slot + 5] @ table[symbol]
            assert torch.allclose(found[7 * slot + symbol], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mlp", "mlp-bn"])
@pytest.mark.parametrize("asked", [{}, {"blank": True}, {"layers": 3}], ids=str)
def test_a_network_gives_the_same_with_and_without_it(name, asked, monkeypatch):
    model = MODELS[name](symbols=7, seed=1, hidden=12, dropout=0.0, **asked).double()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=stream(2, "stir"), dtype=p.dtype)
    windows = torch.randint(7, (WORTH * 8 + 5, model.config.context), generator=stream(0, "windows"))
    results = []
    for fused in (True, False):
        monkeypatch.setattr("moreish.models.mlp.may_fuse", lambda *parts, fused=fused: fused)
        logits = model.score(windows)
        gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()))
        results.append([logits, *gradients])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_hook_sees_what_its_layer_gives():
    model = MODELS["mlp"](symbols=7, hidden=12)
    seen = []
    model.hidden[0].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    model.score(torch.zeros(50, 9, dtype=torch.long))
    assert seen == [(50, 12)]
