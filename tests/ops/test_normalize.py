"""Normalisation and the loss, against torch's own layers, values, gradients and running statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from moreish.layers import BatchNorm, LayerNorm, RMSNorm
from moreish.ops.loss import cross_entropy
from moreish.randomness import stream


def given(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=stream(4, "x"), dtype=torch.float64).mul_(3).add_(1).requires_grad_()


@pytest.mark.parametrize("rows", [2, 5, 300])
def test_batch_norm_is_torchs_with_its_running_statistics(rows):
    ours, theirs = BatchNorm(4).double(), nn.BatchNorm1d(4).double()
    for step in range(3):
        x = given(rows, 4).detach().add_(step).requires_grad_()
        found, wanted = ours(x), theirs(x)
        assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
        incoming = torch.randn(rows, 4, generator=stream(step, "incoming"), dtype=torch.float64)
        mine = torch.autograd.grad(found, [x, ours.gain, ours.bias], incoming)
        for a, b in zip(mine, torch.autograd.grad(wanted, [x, theirs.weight, theirs.bias], incoming), strict=True):
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-11)
    assert torch.allclose(ours.running_mean, theirs.running_mean)
    assert torch.allclose(ours.running_variance, theirs.running_var)
    ours.eval(), theirs.eval()
    x = given(rows, 4)
    assert torch.allclose(ours(x), theirs(x), rtol=0, atol=1e-12)


def test_batch_norm_takes_every_axis_but_the_last_and_one_row_by_what_it_has_seen():
    norm = BatchNorm(4).double()
    x = given(5, 3, 4)
    found = norm(x).detach()
    assert torch.allclose(found, nn.BatchNorm1d(4).double()(x.reshape(-1, 4)).view(5, 3, 4), rtol=0, atol=1e-12)
    before = norm.running_mean.clone()
    one = norm(given(1, 4))
    assert one.isfinite().all() and torch.equal(norm.running_mean, before)
    norm.eval()
    assert torch.allclose(norm(given(1, 4)), one)


@pytest.mark.parametrize("shape", [(3, 6), (2, 5, 6)])
def test_layer_and_rms_norm_are_torchs(shape):
    x = given(*shape)
    layer, rms = LayerNorm(6).double(), RMSNorm(6).double()
    with torch.no_grad():
        for p in (layer.gain, layer.bias, rms.gain):
            p += given(6)
    for found, wanted in (
        (layer(x), F.layer_norm(x, (6,), layer.gain, layer.bias, 1e-5)),
        (rms(x), F.rms_norm(x, (6,), rms.gain, 1e-5)),
    ):
        assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
        mine, theirs = (torch.autograd.grad(y.square().sum(), x, retain_graph=True)[0] for y in (found, wanted))
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_papers(smoothing):
    logits, targets = given(8, 5), torch.tensor([0, 4, -1, 2, 2, 3, -1, 1])
    found = cross_entropy(logits, targets, smoothing=smoothing)
    kept = targets >= 0
    log_probs = logits[kept] - logits[kept].exp().sum(1, keepdim=True).log()
    own = log_probs[torch.arange(6), targets[kept]]
    wanted = -((1 - smoothing) * own + smoothing * log_probs.mean(1)).mean()
    assert found.item() == pytest.approx(wanted.item(), abs=1e-12)
