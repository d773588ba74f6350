"""Two training loops of the lectures, as they are taught: makemore part 2 (the MLP) and part 5 (the tree).

Written anew from what the lectures do, step by step and operation by operation, so that their cost is the lectures'.
Sources: Karpathy, Neural Networks: Zero to Hero, "Building makemore" parts 2 and 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish import Corpus
from moreish.models.model import windows_of

SYMBOLS = 27
BATCH = 32
STEPS = 200_000
"""How long the lectures train each of them."""
TREE_PARAMETERS, MLP_PARAMETERS = 76_579, 11_897


def examples(corpus: Corpus, context: int) -> tuple[Tensor, Tensor]:
    """Every window of train [N context] and what follows it [N]."""
    stream = torch.from_numpy(corpus.alphabet.encode_lines(corpus.train)).long()
    tokens, targets = stream[:-1], stream[1:]
    starts = (stream == 0).nonzero()[:, 0]
    return windows_of(tokens, starts.diff(), context), targets


class Embedding:
    def __init__(self, ids: int, width: int):
        self.weight = torch.randn((ids, width))

    def __call__(self, ix: Tensor) -> Tensor:
        self.out = self.weight[ix]
        return self.out

    def parameters(self) -> list[Tensor]:
        return [self.weight]


class FlattenConsecutive:
    """n neighbours side by side."""

    def __init__(self, n: int):
        self.n = n

    def __call__(self, x: Tensor) -> Tensor:
        rows, places, width = x.shape
        x = x.view(rows, places // self.n, width * self.n)
        self.out = x.squeeze(1) if x.shape[1] == 1 else x
        return self.out

    def parameters(self) -> list[Tensor]:
        return []


class Linear:
    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        self.weight = torch.randn((inputs, outputs)) / inputs**0.5
        self.bias = torch.zeros(outputs) if bias else None

    def __call__(self, x: Tensor) -> Tensor:
        self.out = x @ self.weight
        if self.bias is not None:
            self.out += self.bias
        return self.out

    def parameters(self) -> list[Tensor]:
        return [self.weight] + ([] if self.bias is None else [self.bias])


class BatchNorm1d:
    """Over every axis but the last; running statistics are kept while learning."""

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.1):
        self.eps, self.momentum = eps, momentum
        self.gamma, self.beta = torch.ones(width), torch.zeros(width)
        self.running_mean, self.running_var = torch.zeros(width), torch.ones(width)

    def __call__(self, x: Tensor) -> Tensor:
        over = 0 if x.ndim == 2 else (0, 1)
        mean, var = x.mean(over, keepdim=True), x.var(over, keepdim=True)
        normal = (x - mean) / torch.sqrt(var + self.eps)
        self.out = self.gamma * normal + self.beta
        with torch.no_grad():
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var
        return self.out

    def parameters(self) -> list[Tensor]:
        return [self.gamma, self.beta]


class Tanh:
    def __call__(self, x: Tensor) -> Tensor:
        self.out = torch.tanh(x)
        return self.out

    def parameters(self) -> list[Tensor]:
        return []


def tree_loop(corpus: Corpus) -> Callable[[int], None]:
    """Part 5: 8 symbols of 24 numbers, joined in pairs three times, 128 units at each joining. Returns `run(steps)`."""
    inputs, targets = examples(corpus, 8)
    torch.manual_seed(42)
    width, units = 24, 128
    layers: list[Any] = [Embedding(SYMBOLS, width)]
    for size in (width, units, units):
        layers += [FlattenConsecutive(2), Linear(2 * size, units, bias=False), BatchNorm1d(units), Tanh()]
    layers.append(last := Linear(units, SYMBOLS))
    last.weight *= 0.1
    parameters = [p for layer in layers for p in layer.parameters()]
    assert sum(p.nelement() for p in parameters) == TREE_PARAMETERS

    def logits(ix: Tensor) -> Tensor:
        x = ix
        for layer in layers:
            x = layer(x)
        return x

    return _descent(inputs, targets, parameters, logits, tenth_after=150_000)


def mlp_loop(corpus: Corpus) -> Callable[[int], None]:
    """Part 2: 3 symbols of 10 numbers, 200 units of tanh. Returns `run(steps)`."""
    inputs, targets = examples(corpus, 3)
    g = torch.Generator().manual_seed(2147483647)
    C = torch.randn((SYMBOLS, 10), generator=g)
    W1, b1 = torch.randn((30, 200), generator=g), torch.randn(200, generator=g)
    W2, b2 = torch.randn((200, SYMBOLS), generator=g), torch.randn(SYMBOLS, generator=g)
    parameters = [C, W1, b1, W2, b2]
    assert sum(p.nelement() for p in parameters) == MLP_PARAMETERS

    def logits(ix: Tensor) -> Tensor:
        h = torch.tanh(C[ix].view(-1, 30) @ W1 + b1)
        return h @ W2 + b2

    return _descent(inputs, targets, parameters, logits, tenth_after=100_000)


def _descent(
    inputs: Tensor, targets: Tensor, parameters: list[Tensor], logits: Callable[[Tensor], Tensor], tenth_after: int
) -> Callable[[int], None]:
    """Minibatches of 32 windows drawn at random, `p.data += -lr * p.grad`, the loss noted at each step."""
    for p in parameters:
        p.requires_grad = True
    noted: list[float] = []

    def run(steps: int) -> None:
        for _ in range(steps):
            ix = torch.randint(0, inputs.shape[0], (BATCH,))
            loss = F.cross_entropy(logits(inputs[ix]), targets[ix])
            for p in parameters:
                p.grad = None
            loss.backward()
            lr = 0.1 if len(noted) < tenth_after else 0.01
            for p in parameters:
                assert p.grad is not None
                p.data += -lr * p.grad
            noted.append(loss.log10().item())

    return run
