"""Optimisers and schedules, against torch's own and the papers' formulas."""

from __future__ import annotations

import math

import pytest
import torch

from moreish.layers import hidden_matrices
from moreish.learning.optimize import MATCH_ADAM, SGD, AdamW, Muon, Optimizer, expected_tensors, orthogonal
from moreish.learning.schedule import rate_at
from moreish.models.catalog import MODELS
from moreish.randomness import stream

NETWORKS = [name for name, entry in MODELS.items() if entry.learns_by_gradient]


def gradients(model, seed: int) -> None:
    random = stream(seed, "gradients")
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=random)


@pytest.mark.parametrize("ours, theirs, asked", [
    (SGD, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    (AdamW, torch.optim.AdamW, {"betas": (0.9, 0.99), "fused": True, "weight_decay": 0.1}),
])  # fmt: skip
def test_what_torchs_compiler_is_kept_out_of_is_torchs_to_the_bit(ours, theirs, asked):
    weights = [[torch.nn.Parameter(torch.randn(s, generator=stream(s, "w"))) for s in (3, 40)] for _ in range(2)]
    one, other = ours(weights[0], lr=0.1, **asked), theirs(weights[1], lr=0.1, **asked)
    for step in range(5):
        for i, (p, q) in enumerate(zip(*weights)):
            p.grad = torch.randn(p.shape, generator=stream(step, str(i)))
            q.grad = p.grad.clone()
        one.step(), other.step()
    assert all(torch.equal(p, q) for p, q in zip(*weights))
    assert one.state_dict()["state"].keys() == other.state_dict()["state"].keys()
    assert [g.keys() for g in one.param_groups] == [g.keys() for g in other.param_groups]


@pytest.mark.parametrize(
    "kind, momentum, theirs",
    [
        ("sgd", 0.0, lambda p: torch.optim.SGD(p, lr=0.1)),
        ("sgd", 0.9, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ("adamw", 0.0, lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.99), weight_decay=0.0)),
    ],
)
def test_sgd_and_adamw_are_torchs(kind, momentum, theirs):
    ours, plain = (MODELS["mlp"](symbols=5, seed=1, hidden=8, embedding=4) for _ in range(2))
    optimizer, other = Optimizer(ours, kind, momentum=momentum), theirs(plain.parameters())
    for step in range(5):
        gradients(ours, step)
        gradients(plain, step)
        optimizer.step(0.1)
        other.step()
    for a, b in zip(ours.parameters(), plain.parameters()):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_the_lectures_step_is_p_minus_lr_times_gradient():
    model = MODELS["mlp-bn"](symbols=5, seed=1)
    before = [p.detach().clone() for p in model.parameters()]
    gradients(model, 0)
    Optimizer(model, "sgd").step(0.1)
    for p, was in zip(model.parameters(), before):
        assert torch.allclose(p, was - 0.1 * p.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5), (20, 6), (6, 20), (1, 7), (3, 1)])
def test_orthogonal_brings_singular_values_near_one_and_keeps_directions(shape):
    matrix = torch.randn(2, *shape, generator=stream(0, "m"))
    found = orthogonal(matrix)
    for one, was in zip(found, matrix):
        values = torch.linalg.svdvals(one)
        assert values.min() > 0.3 and values.max() < 1.3
        u, _, vh = torch.linalg.svd(was, full_matrices=False)
        inner = u.mT @ one @ vh.mT  # diagonal: the singular vectors are the matrix's own
        assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-3


def test_muon_moves_a_matrix_by_its_orthogonal_momentum():
    weight = torch.nn.Parameter(torch.randn(6, 4, generator=stream(1, "w")))
    optimizer = Muon([weight], lr=0.1, momentum=0.5, weight_decay=0.2)
    held = torch.zeros(6, 4)
    for step in range(3):
        weight.grad = torch.randn(6, 4, generator=stream(step, "g"))
        held = 0.5 * held + 0.5 * weight.grad
        nesterov = 0.5 * weight.grad + 0.5 * held
        wanted = weight.detach() * (1 - 0.1 * 0.2) - 0.1 * MATCH_ADAM * math.sqrt(6) * orthogonal(nesterov[None])[0]
        optimizer.step()
        assert torch.allclose(weight, wanted, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_muon_is_for_hidden_matrices_only(name):
    model = MODELS[name](symbols=5, seed=0)
    shapes = {n: p.shape for n, p in model.named_parameters()}
    for matrix in hidden_matrices(model):
        assert len(shapes[matrix]) >= 2 and "embedding" not in matrix and not matrix.startswith("output")


@pytest.mark.parametrize("kind, momentum", [("sgd", 0.0), ("sgd", 0.9), ("adamw", 0.0), ("muon", 0.0)])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_remembered_is_what_was_promised_and_goes_on_the_same(name, kind, momentum):
    model = MODELS[name](symbols=5, seed=0)
    optimizer = Optimizer(model, kind, momentum=momentum)
    assert optimizer.tensors() == {}
    gradients(model, 0)
    optimizer.step(0.01)
    kept = {key: tensor.clone() for key, tensor in optimizer.tensors().items()}
    assert {key: t.shape for key, t in kept.items()} == {
        key: p.shape for key, p in expected_tensors(model, kind, momentum)
    }
    other = MODELS[name](symbols=5, seed=0)
    other.load_state_dict(model.state_dict())
    again = Optimizer(other, kind, momentum=momentum)
    again.load(kept, 1)
    for step in (1, 2):
        for each, one in ((model, optimizer), (other, again)):
            gradients(each, step)
            one.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters()))


SCHEDULES = [
    (("constant", 0, 100), 1.0),
    (("constant", 99, 100), 1.0),
    (("step", 49, 100), 1.0),
    (("step", 50, 100), 0.1),
    (("step", 74, 100, 0.0, 0.75), 1.0),
    (("step", 150_000, 200_000, 0.0, 0.75), 0.1),
    (("linear", 0, 100), 1.0),
    (("linear", 50, 100), 0.5),
    (("linear", 99, 100), 0.01),
    (("cosine", 0, 100), 1.0),
    (("cosine", 50, 100), 0.5),
    (("cosine", 75, 100), 0.5 + 0.5 * math.cos(0.75 * math.pi)),
    (("cosine", 4, 100, 0.1), 5 / 11),
    (("linear", 10, 100, 0.1), 1.0),
    (("linear", 55, 100, 0.1), 0.5),
    (("constant", 0, 0), 1.0),
]


@pytest.mark.parametrize("asked, factor", SCHEDULES, ids=str)
def test_the_rate_at_a_step(asked, factor):
    assert rate_at(*asked) == pytest.approx(factor)


def test_the_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    for step in range(40):
        assert rate_at("cosine", step, 40) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        scheduler.step()
