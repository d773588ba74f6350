"""A transformer in one pass, and its gradient by hand: the steps of `models/transformer.py`, fused.

    x = symbols[tokens] + positions[depths]
    in each block: x = x + merge(attend(qkv(layer_norm(x)))), then x = x + down(gelu(up(layer_norm(x))))
    logits = output(layer_norm(x))

What it saves is nodes of autograd's graph, passes over memory and temporary tensors: small matrices on a processor wait
for these, not for arithmetic. It works for one processor's cache, so rows go through the wide layer in parts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from moreish.ops.pointwise import GELU_CUBIC, GELU_SLOPE

ROWS_AT_ONCE = 256
"""Rows of the wide layer held at a time: with their gradients they fit a cache of 2 MB where the layer is 256 wide."""
_norm_backward: Any = torch.ops.aten.native_layer_norm_backward.default


class BlockWeights(NamedTuple):
    """One block's, as torch's Linear has them: [outputs inputs]."""

    gain_1: Float[Tensor, " D"]
    bias_1: Float[Tensor, " D"]
    qkv: Float[Tensor, "E D"]
    qkv_bias: Float[Tensor, " E"]
    merge: Float[Tensor, "D D"]
    merge_bias: Float[Tensor, " D"]
    gain_2: Float[Tensor, " D"]
    bias_2: Float[Tensor, " D"]
    up: Float[Tensor, "F D"]
    up_bias: Float[Tensor, " F"]
    down: Float[Tensor, "D F"]
    down_bias: Float[Tensor, " D"]


class Shape(NamedTuple):
    """P rows of R places, H heads, and what is added to a variance before its root."""

    rows: int
    places: int
    heads: int
    epsilon: float


class Ends(NamedTuple):
    """What stands before and after the blocks."""

    symbols: Float[Tensor, "V D"]
    positions: Float[Tensor, "C D"]
    gain: Float[Tensor, " D"]
    bias: Float[Tensor, " D"]
    output: Float[Tensor, "V D"]


class Where(NamedTuple):
    """P * R places: which symbol stands there, how deep on its line, and what it sees; and N of them to be answered.

    `bias` is added to the scores: 0 where a place sees another, else -inf. Each sees itself.
    """

    tokens: Int[Tensor, "P R"]
    depths: Int[Tensor, "P R"]
    bias: Float[Tensor, "P 1 R R"]
    asked: Int[Tensor, " N"]


def decoder(
    where: Where,
    heads: int,
    epsilon: float,
    ends: Ends,
    weights: list[BlockWeights],
    masks: list[Tensor] | None = None,
) -> Float[Tensor, "N V"]:
    """The logits at the places asked for.

    Source: Radford et al. 2019, section 2.3 (layer normalisation before each part and at the end), with the parts of
    Vaswani et al. 2017, equation 1, and Hendrycks and Gimpel 2016.

    Args:
        epsilon: added to a variance before its root.
        masks: dropout [P*R D] of the embeddings, then of what each of a block's two parts adds.
    """
    flat = [*ends, *(tensor for each in weights for tensor in each)]
    return _Decoder.apply(where, Shape(*where.tokens.shape, heads, epsilon), masks, torch.is_grad_enabled(), *flat)  # type: ignore[return-value]


class _Decoder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, where: Where, shape: Shape, masks: Any, learns: bool, *flat: Tensor) -> Tensor:
        ends, weights = _parts(flat)
        x = ends.symbols.index_select(0, where.tokens.view(-1))
        x.add_(ends.positions.index_select(0, where.depths.view(-1)))
        if masks:
            x.mul_(masks[0])
        every = []
        for i, w in enumerate(weights):
            x, kept = block_forward(x, where.bias, shape, w, *_masks(masks, i))
            if learns:
                every.append(kept)
        y, mean, scale = torch.native_layer_norm(x, x.shape[1:], ends.gain, ends.bias, shape.epsilon)
        ctx.save_for_backward(*flat)
        ctx.shape, ctx.where, ctx.masks, ctx.kept, ctx.last = shape, where, masks, every, (x, y, mean, scale)
        return torch.mm(y, ends.output.t()).index_select(0, where.asked)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        ends, weights = _parts(ctx.saved_tensors)
        x, y, mean, scale = ctx.last
        logits = gradient.new_zeros(len(x), len(ends.output)).index_add_(0, ctx.where.asked, gradient)
        d_output = torch.mm(logits.t(), y)
        d_x, d_gain, d_bias = _norm_backward(
            torch.mm(logits, ends.output), x, x.shape[1:], mean, scale, ends.gain, ends.bias, [True] * 3
        )
        out: list[Tensor] = []
        for i in reversed(range(len(weights))):
            d_x, its = block_backward(d_x, ctx.kept[i], ctx.shape, weights[i], *_masks(ctx.masks, i))
            out[:0] = its
        if ctx.masks:
            d_x.mul_(ctx.masks[0])
        d_symbols = torch.zeros_like(ends.symbols).index_add_(0, ctx.where.tokens.view(-1), d_x)
        d_positions = torch.zeros_like(ends.positions).index_add_(0, ctx.where.depths.view(-1), d_x)
        return None, None, None, None, d_symbols, d_positions, d_gain, d_bias, d_output, *out


def _parts(flat: tuple[Tensor, ...]) -> tuple[Ends, list[BlockWeights]]:
    first, size = len(Ends._fields), len(BlockWeights._fields)
    return Ends(*flat[:first]), [BlockWeights(*flat[i : i + size]) for i in range(first, len(flat), size)]


def _masks(masks: list[Tensor] | None, block: int) -> tuple[Tensor, Tensor] | tuple[None, None]:
    return (masks[2 * block + 1], masks[2 * block + 2]) if masks else (None, None)


def block_forward(
    x: Tensor, bias: Tensor, shape: Shape, w: BlockWeights, mask_1: Tensor | None, mask_2: Tensor | None
) -> tuple[Tensor, tuple[Any, ...]]:
    """One block: its output, and what its backward needs."""
    width = (x.shape[1],)
    y, mean_1, scale_1 = torch.native_layer_norm(x, width, w.gain_1, w.bias_1, shape.epsilon)
    mixed, attention = attention_forward(torch.addmm(w.qkv_bias, y, w.qkv.t()), bias, shape)
    middle = _added(x, torch.addmm(w.merge_bias, mixed, w.merge.t()), mask_1)
    z, mean_2, scale_2 = torch.native_layer_norm(middle, width, w.gain_2, w.bias_2, shape.epsilon)
    wide, gates, out = feedforward_forward(z, w.up, w.up_bias, w.down, w.down_bias)
    kept = (x, y, mean_1, scale_1, *attention, mixed, middle, z, mean_2, scale_2, wide, gates)
    return _added(middle, out, mask_2), kept


def block_backward(
    gradient: Tensor,
    kept: tuple[Any, ...],
    shape: Shape,
    w: BlockWeights,
    mask_1: Tensor | None,
    mask_2: Tensor | None,
) -> tuple[Tensor, BlockWeights]:
    """The gradients of its input and of its weights."""
    x, y, mean_1, scale_1, parts, weights, mixed, middle, z, mean_2, scale_2, wide, gates = kept
    width, every = (x.shape[1],), [True, True, True]
    inner = gradient if mask_2 is None else gradient * mask_2
    d_z, d_up, d_up_bias, d_down = feedforward_backward(inner, z, wide, gates, w.up, w.down)
    d_down_bias = inner.sum(0)
    d_middle, d_gain_2, d_bias_2 = _norm_backward(d_z, middle, width, mean_2, scale_2, w.gain_2, w.bias_2, every)
    d_middle.add_(gradient)
    inner = d_middle if mask_1 is None else d_middle * mask_1
    d_merge, d_merge_bias = torch.mm(inner.t(), mixed), inner.sum(0)
    d_qkv_out = attention_backward(torch.mm(inner, w.merge), mixed, parts, weights, shape)
    d_qkv, d_qkv_bias = torch.mm(d_qkv_out.t(), y), d_qkv_out.sum(0)
    d_y = torch.mm(d_qkv_out, w.qkv)
    d_x, d_gain_1, d_bias_1 = _norm_backward(d_y, x, width, mean_1, scale_1, w.gain_1, w.bias_1, every)
    return d_x.add_(d_middle), BlockWeights(
        d_gain_1, d_bias_1, d_qkv, d_qkv_bias, d_merge, d_merge_bias,
        d_gain_2, d_bias_2, d_up, d_up_bias, d_down, d_down_bias,
    )  # fmt: skip


def _added(x: Tensor, part: Tensor, mask: Tensor | None) -> Tensor:
    """x + part * mask, in the part's memory."""
    if mask is not None:
        part.mul_(mask)
    return part.add_(x)


def attention_forward(
    qkv: Float[Tensor, "M E"], bias: Float[Tensor, "P 1 R R"], shape: Shape
) -> tuple[Float[Tensor, "M D"], tuple[Tensor, Tensor]]:
    """softmax(q k^T / sqrt(d) + bias) v in each head. Kept: q, k and v by heads, and the softmax's weights."""
    rows, places, heads, _ = shape
    size = qkv.shape[1] // (3 * heads)
    parts = qkv.new_empty(3, rows * heads, places, size)
    parts.view(3, rows, heads, places, size).copy_(qkv.view(rows, places, 3, heads, size).permute(2, 0, 3, 1, 4))
    q, k, v = parts.unbind(0)
    weights = qkv.new_empty(rows * heads, places, places)
    weights.baddbmm_(q, k.mT, beta=0, alpha=1 / math.sqrt(size))
    weights.view(rows, heads, places, places).add_(bias)
    torch.softmax(weights, -1, out=weights)
    mixed = torch.bmm(weights, v).view(rows, heads, places, size).transpose(1, 2)
    return mixed.reshape(rows * places, heads * size), (parts, weights)


def attention_backward(
    gradient: Float[Tensor, "M D"], mixed: Float[Tensor, "M D"], parts: Tensor, weights: Tensor, shape: Shape
) -> Float[Tensor, "M E"]:
    """The gradient of qkv. Of the scores it is weights * (dv_weights - rowsum), and that sum, over the weights times
    their gradients, is the product of the output with its own gradient: R numbers become d.
    """
    rows, places, heads, _ = shape
    size = parts.shape[-1]
    by_head = (rows, places, heads, size)
    total = torch.linalg.vecdot(gradient.view(by_head), mixed.view(by_head)).transpose(1, 2).reshape(-1, places, 1)
    upper = gradient.view(by_head).transpose(1, 2).reshape(rows * heads, places, size)
    q, k, v = parts.unbind(0)
    d_parts = torch.empty_like(parts)
    d_q, d_k, d_v = d_parts.unbind(0)
    torch.bmm(weights.mT, upper, out=d_v)
    scores = torch.bmm(upper, v.mT).sub_(total).mul_(weights)
    d_q.baddbmm_(scores, k, beta=0, alpha=1 / math.sqrt(size))
    d_k.baddbmm_(scores.mT, q, beta=0, alpha=1 / math.sqrt(size))
    return d_parts.view(3, rows, heads, places, size).permute(1, 3, 0, 2, 4).reshape(rows * places, -1)


def feedforward_forward(
    x: Float[Tensor, "M D"], up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor
) -> tuple[Float[Tensor, "M F"], Float[Tensor, "M F"], Float[Tensor, "M D"]]:
    """down(gelu(up(x))): the wide layer before gelu, gelu's sigmoid, and the output."""
    wide = x.new_empty(len(x), len(up))
    gates, out = torch.empty_like(wide), torch.empty_like(x)
    size = _even(len(x))
    active, slope = wide.new_empty(size, len(up)), wide.new_full((), GELU_SLOPE)
    for i in range(0, len(x), size):
        h, s = wide[i : i + size], gates[i : i + size]
        torch.addmm(up_bias, x[i : i + size], up.t(), out=h)
        torch.addcmul(slope, h, h, value=GELU_SLOPE * GELU_CUBIC, out=s).mul_(h).sigmoid_()
        torch.addmm(down_bias, torch.mul(h, s, out=active[: len(h)]), down.t(), out=out[i : i + size])
    return wide, gates, out


def feedforward_backward(
    gradient: Float[Tensor, "M D"], x: Float[Tensor, "M D"], wide: Tensor, gates: Tensor, up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, up, its bias, and down.

    With the sigmoid s, gelu'(x) = s + x s (1 - s) GELU_SLOPE (1 + 3 GELU_CUBIC x²).
    """
    d_x, d_up, d_down = torch.empty_like(x), torch.empty_like(up), torch.empty_like(down)
    d_bias = x.new_zeros(len(up))
    size = _even(len(x))
    active, slope = wide.new_empty(size, len(up)), wide.new_full((), GELU_SLOPE)
    change = torch.empty_like(active)
    for i in range(0, len(x), size):
        h, s, g = wide[i : i + size], gates[i : i + size], gradient[i : i + size]
        a, d = active[: len(h)], change[: len(h)]
        torch.mul(h, s, out=a)
        d_down.addmm_(g.t(), a, beta=int(i > 0))
        torch.addcmul(slope, h, h, value=3 * GELU_SLOPE * GELU_CUBIC, out=d).mul_(a).addcmul_(d, s, value=-1).add_(s)
        d.mul_(torch.mm(g, down, out=a))
        d_up.addmm_(d.t(), x[i : i + size], beta=int(i > 0))
        torch.mm(d, up, out=d_x[i : i + size])
        d_bias.add_(d.sum(0))
    return d_x, d_up, d_bias, d_down


def _even(count: int) -> int:
    """The size of the fewest equal parts of at most ROWS_AT_ONCE rows."""
    return -(-count // max(1, -(-count // ROWS_AT_ONCE)))
