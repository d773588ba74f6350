"""A tree slid over lines: the same weights, read as dilated causal convolutions, and the rows that are worked out.

Level l of the tree joins neighbours that are 2^(l-1) symbols apart, by one linear map: [earlier now] @ W.T. At every
place of a line at once, that is a convolution with two taps, 2^(l-1) apart, whose taps are the halves of W. Before a
line stand boundary symbols, as before the tree's windows, and not zeros.

Source: van den Oord et al. 2016, WaveNet, section 2.1 and figure 3; Karpathy, makemore part 5; for queues, Paine et al.
2016, Fast WaveNet.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.models.tree import Tree
from moreish.models.wavenet import Layer, WaveNet
from moreish.ops.arithmetic import add
from moreish.ops.convolve import gated
from moreish.ops.pointwise import relu, tanh
from moreish.shapes import BOUNDARY

Count = Callable[[int], None]
"""Is told of so many rows, each of which one layer has worked out."""


def ignore(rows: int) -> None:
    """Counts nothing."""


def taps(weight: Float[Tensor, "D L"]) -> Float[Tensor, "D K 2"]:
    """A linear map of two rows side by side as the kernel of a convolution: the earlier row's half first."""
    return torch.stack(weight.chunk(2, -1), -1)


def before_lines(tokens: Int[Tensor, "B T"], places: int) -> Int[Tensor, "B L"]:
    """Lines with so many boundary symbols before them."""
    return F.pad(tokens, (places, 0), value=BOUNDARY)


def by_windows(tree: Tree, tokens: Int[Tensor, "B T"], count: Count = ignore) -> Float[Tensor, "B T V"]:
    """All windows of the lines at once, each through the tree by itself."""
    rows, long = tokens.shape
    windows = before_lines(tokens, tree.context - 1).unfold(1, tree.context, 1)
    width = tree.context
    for _ in tree.hidden:
        width //= 2
        count(rows * long * width)
    count(rows * long)
    return tree.score(windows.reshape(-1, tree.context)).view(rows, long, -1)


def by_loop(tree: Tree, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
    """The same, one place after the other: the loop in Python."""
    seen = before_lines(tokens, tree.context - 1)
    places = range(tokens.shape[1])
    return torch.stack([tree.score(seen[:, at : at + tree.context]) for at in places], 1)


class Slid:
    """A tree slid over whole lines: each level is one convolution, dilated 1, 2, 4, ..., of the tree's own weights."""

    def __init__(self, tree: Tree):
        self.tree = tree
        self.kernels = [taps(hidden.get_parameter("weight").detach()) for hidden in tree.hidden]

    def __call__(self, tokens: Int[Tensor, "B T"], count: Count = ignore) -> Float[Tensor, "B T V"]:
        return self.above(self.tree.embedding(before_lines(tokens, self.tree.context - 1)), count)

    def above(self, x: Float[Tensor, "B L D"], count: Count = ignore) -> Float[Tensor, "B T V"]:
        """The logits from embeddings of L = T + C - 1 places: each level drops those at whose left something is
        missing, so that after all levels T are left.
        """
        for level, (kernel, norm) in enumerate(zip(self.kernels, self.tree.norms)):
            x = along(x, kernel, 2**level)
            count(x.shape[0] * x.shape[1])
            x = tanh(norm(x))
        count(x.shape[0] * x.shape[1])
        return self.tree.output(x)


def by_convolution(tree: Tree, tokens: Int[Tensor, "B T"], count: Count = ignore) -> Float[Tensor, "B T V"]:
    """The whole tree slid over the lines."""
    return Slid(tree)(tokens, count)


def along(
    x: Float[Tensor, "B T K"], kernel: Float[Tensor, "D K L"], dilation: int, bias: Float[Tensor, " D"] | None = None
) -> Float[Tensor, "B P D"]:
    """A convolution at the places where all that it reads is there: `ops.convolve` without its first places."""
    return F.conv1d(x.mT, kernel, bias, dilation=dilation).mT


def by_queues(tree: Tree, tokens: Int[Tensor, "B T"], count: Count = ignore) -> Float[Tensor, "B T V"]:
    """Symbol by symbol, each level remembering its last inputs: what was worked out once is not worked out again.

    Before a line the queues hold what each level gives where nothing but boundaries stands: one row, which is worked
    out once for all lines.
    """
    rows = tokens.shape[0]
    x = tree.embedding.weight[BOUNDARY][None]
    queues = []
    for level, (hidden, norm) in enumerate(zip(tree.hidden, tree.norms)):
        queues.append([x.expand(rows, -1)] * 2**level)
        if level < len(tree.hidden) - 1:
            x = tanh(norm(hidden(torch.cat([x, x], -1))))
            count(1)
    logits = []
    for symbols in tokens.unbind(1):
        x = tree.embedding(symbols)
        for queue, hidden, norm in zip(queues, tree.hidden, tree.norms):
            queue.append(x)
            x = tanh(norm(hidden(torch.cat([queue.pop(0), x], -1))))
            count(rows)
        count(rows)
        logits.append(tree.output(x))
    return torch.stack(logits, 1)


def wavenet_by_convolution(model: WaveNet, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
    """A WaveNet's logits by convolutions over lines with boundaries before them, in place of its queues."""
    x = model.embedding(before_lines(tokens, model.config.receptive_field - 1))
    skips = []
    for layer, dilation in zip(model.layers, model.config.dilations):
        assert isinstance(layer, Layer)
        z = gated(along(x, taps(layer.gated.weight), dilation, layer.gated.bias))
        skips.append(layer.skip(z)[:, -tokens.shape[1] :])
        if layer.residual is not None:
            x = add(x[:, dilation:], layer.residual(z))
    total = skips[0]
    for skip in skips[1:]:
        total = add(total, skip)
    return model.output(relu(model.mix(relu(total))))


def wavenet_by_queues(model: WaveNet, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
    """A WaveNet's logits symbol by symbol."""
    state, logits = model.begin(tokens.shape[0]), []
    for at in range(tokens.shape[1]):
        found, state = model(tokens[:, at : at + 1], state)
        logits.append(found)
    return torch.cat(logits, 1)
