"""One step of the lectures' MLP with BatchNorm (part 4): forward, backward and update, batch 32, in several ways.

The two references are the lecture's cell "exercise 4", operation by operation: once with `loss.backward()`, once with
its gradients by hand and its double loop over the embedding's. Beside them our one function, plain and compiled, and
for information a lean autograd step and `torch.compile` of the whole step. All take the same batches, drawn before.
Source: Karpathy, Neural Networks: Zero to Hero, "Becoming a backprop ninja".
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from lecture_loops import SYMBOLS, examples
from moreish import Corpus
from moreish.explaining.grains.lecture_net import PARAMETERS, fresh
from moreish.ops.mlp_step import MLPStep
from timing import Absent, Measured, clock, in_turn, timed

BATCH, CONTEXT, WIDTH, HIDDEN = 32, 3, 10, 200
WEIGHTS = 12_297
BATCHES = 512
LR = 0.1
STEPS = {"autograd": 200, "by-hand": 100}
"""Of the references in a repeat; ours take as many as will fill LONG."""
LONG = 0.1
"""Seconds."""
REPEATS = 15
WARM_UP = 50
CACHE = "TORCHINDUCTOR_CACHE_DIR"

Step = Callable[[Tensor, Tensor], float]


def parameters(seed: int = 0) -> dict[str, Tensor]:
    """The lecture's network at its start."""
    p = fresh(SYMBOLS, CONTEXT, WIDTH, HIDDEN, seed)
    assert sum(t.numel() for t in p.values()) == WEIGHTS
    return p


def lecture_autograd(p: dict[str, Tensor]) -> Step:
    """The cell with its own forward, `loss.backward()`, and `p.data += -lr * p.grad`."""
    C, W1, b1, W2, b2, bngain, bnbias = (p[name] for name in PARAMETERS)
    tensors = [p[name] for name in PARAMETERS]
    for t in tensors:
        t.requires_grad = True

    def step(Xb: Tensor, Yb: Tensor) -> float:
        emb = C[Xb]
        embcat = emb.view(emb.shape[0], -1)
        hprebn = embcat @ W1 + b1
        bnmean = hprebn.mean(0, keepdim=True)
        bnvar = hprebn.var(0, keepdim=True, unbiased=True)
        bnvar_inv = (bnvar + 1e-5) ** -0.5
        bnraw = (hprebn - bnmean) * bnvar_inv
        hpreact = bngain * bnraw + bnbias
        h = torch.tanh(hpreact)
        logits = h @ W2 + b2
        loss = F.cross_entropy(logits, Yb)
        for t in tensors:
            t.grad = None
        loss.backward()
        for t in tensors:
            assert t.grad is not None
            t.data += -LR * t.grad
        return loss.item()

    return step


@torch.no_grad()
def lecture_by_hand(p: dict[str, Tensor]) -> Step:
    """The cell with the lecture's own gradients, and its loop over every symbol of every window."""
    C, W1, b1, W2, b2, bngain, bnbias = (p[name] for name in PARAMETERS)
    tensors = [p[name] for name in PARAMETERS]
    n = BATCH

    @torch.no_grad()
    def step(Xb: Tensor, Yb: Tensor) -> float:
        emb = C[Xb]
        embcat = emb.view(emb.shape[0], -1)
        hprebn = embcat @ W1 + b1
        bnmean = hprebn.mean(0, keepdim=True)
        bnvar = hprebn.var(0, keepdim=True, unbiased=True)
        bnvar_inv = (bnvar + 1e-5) ** -0.5
        bnraw = (hprebn - bnmean) * bnvar_inv
        hpreact = bngain * bnraw + bnbias
        h = torch.tanh(hpreact)
        logits = h @ W2 + b2
        loss = F.cross_entropy(logits, Yb)
        dlogits = F.softmax(logits, 1)
        dlogits[range(n), Yb] -= 1
        dlogits /= n
        dh = dlogits @ W2.T
        dW2 = h.T @ dlogits
        db2 = dlogits.sum(0)
        dhpreact = (1.0 - h**2) * dh
        dbngain = (bnraw * dhpreact).sum(0, keepdim=True)
        dbnbias = dhpreact.sum(0, keepdim=True)
        dhprebn = (
            bngain * bnvar_inv / n
            * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))
        )  # fmt: skip
        dembcat = dhprebn @ W1.T
        dW1 = embcat.T @ dhprebn
        db1 = dhprebn.sum(0)
        demb = dembcat.view(emb.shape)
        dC = torch.zeros_like(C)
        for k in range(Xb.shape[0]):
            for j in range(Xb.shape[1]):
                ix = Xb[k, j]
                dC[ix] += demb[k, j]
        for t, grad in zip(tensors, [dC, dW1, db1, dW2, db2, dbngain, dbnbias]):
            t.data += -LR * grad
        return loss.item()

    return step


def _lean_loss(p: dict[str, Tensor], Xb: Tensor, Yb: Tensor) -> Tensor:
    """The same loss by as few operations as torch has for it; its BatchNorm divides by n."""
    hprebn = torch.addmm(p["b1"], F.embedding(Xb, p["C"]).view(len(Xb), -1), p["W1"])
    hpreact = F.batch_norm(hprebn, None, None, p["bngain"][0], p["bnbias"][0], training=True)
    return F.cross_entropy(torch.addmm(p["b2"], torch.tanh(hpreact), p["W2"]), Yb)


def lean_autograd(p: dict[str, Tensor]) -> Step:
    """Autograd as lean as it gets: fused operations, and one call that updates all parameters."""
    tensors = [p[name].requires_grad_() for name in PARAMETERS]
    bare = [t.detach() for t in tensors]

    def step(Xb: Tensor, Yb: Tensor) -> float:
        loss = _lean_loss(p, Xb, Yb)
        gradients = torch.autograd.grad(loss, tensors)
        torch._foreach_add_(bare, gradients, alpha=-LR)
        return loss.item()

    return step


def compiled_by_torch(p: dict[str, Tensor]) -> Step:
    """`torch.compile` of the whole lean step, the update within."""
    tensors = [p[name] for name in PARAMETERS]

    def gradients(Xb: Tensor, Yb: Tensor) -> Tensor:
        parts = dict(zip(PARAMETERS, tensors))
        d, loss = torch.func.grad_and_value(lambda q: _lean_loss(q, Xb, Yb))(parts)
        for name, t in parts.items():
            t.sub_(LR * d[name])
        return loss

    with torch.no_grad():
        whole = torch.compile(gradients, fullgraph=True)

    @torch.no_grad()
    def step(Xb: Tensor, Yb: Tensor) -> float:
        return whole(Xb, Yb).item()

    return step


def ours(engine: str, p: dict[str, Tensor]) -> Step:
    """Forward, backward and update as one function."""
    one = MLPStep(**p, engine=engine)
    return lambda Xb, Yb: one.step(Xb, Yb, LR)


def plain(lists: dict[str, str]) -> dict[str, Measured]:
    """Steps a second of the one function in plain torch, beside both of the lecture's."""
    return _beside(partial(ours, "plain"), lists)


def compiled(lists: dict[str, str]) -> dict[str, Measured]:
    """The same, by the function that a C compiler made."""
    began = time.perf_counter()
    one = MLPStep(**parameters(), engine="auto")
    if one.engine != "compiled":
        raise Absent(f"no compiled step: {one.why_plain}")
    took = time.perf_counter() - began
    return _beside(partial(ours, "compiled"), lists, f"the library was there after {took:.2f} s")


def lean(lists: dict[str, str]) -> dict[str, Measured]:
    """The same, by autograd as lean as it gets."""
    return _beside(lean_autograd, lists)


def by_torch(lists: dict[str, str]) -> dict[str, Measured]:
    """The same, by torch.compile, with nothing left from an earlier time."""
    before = os.environ.get(CACHE)
    with tempfile.TemporaryDirectory() as empty:
        os.environ[CACHE] = empty
        try:
            return _by_torch(lists)
        finally:
            del os.environ[CACHE]
            if before is not None:
                os.environ[CACHE] = before


def _by_torch(lists: dict[str, str]) -> dict[str, Measured]:
    step = compiled_by_torch(parameters())
    windows, targets = _batches(lists["names"])
    began = time.perf_counter()
    step(windows[0], targets[0])
    took = time.perf_counter() - began
    return _beside(lambda p: step, lists, f"compiling took {took:.0f} s")


def _batches(path: str) -> tuple[list[Tensor], list[Tensor]]:
    inputs, targets = examples(Corpus.read(path, split="lecture"), CONTEXT)
    torch.manual_seed(42)
    ix = torch.randint(0, len(inputs), (BATCHES, BATCH))
    return list(inputs[ix]), list(targets[ix])


def _beside(make: Callable[[dict[str, Tensor]], Step], lists: dict[str, str], note: str = "") -> dict[str, Measured]:
    windows, targets = _batches(lists["names"])
    steps = [make(parameters()), lecture_autograd(parameters()), lecture_by_hand(parameters())]
    works = [partial(_run, step, windows, targets) for step in steps]
    for work in works:
        work(WARM_UP)
    many = 1 + int(LONG / timed(partial(works[0], WARM_UP)).wall * WARM_UP)
    times = [many, *STEPS.values()]
    mine, *references = in_turn(*(partial(work, n) for work, n in zip(works, times)), repeats=REPEATS)
    rates = [many / t.wall for t in mine]
    said = f"{1e6 / median(rates):.0f} us a step{note and '; '}{note}"
    return {
        name: Measured(rates, [n / t.wall for t in taken], said, clock=clock(mine))
        for (name, n), taken in zip(STEPS.items(), references)
    }


def _run(step: Step, windows: list[Tensor], targets: list[Tensor], times: int) -> None:
    for i in range(times):
        step(windows[i % BATCHES], targets[i % BATCHES])
