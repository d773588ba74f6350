"""Sums and products with their fan-out: what is used twice gets both gradients, what was broadcast gets their sum.

Source of the rules: Griewank and Walther, Evaluating Derivatives (2008), section 3.2, reverse mode: a gradient is added
up over all uses, and a use of a copy is a use. Broadcasting is numpy's.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moreish.ops.op import Gradients, Op


def summed_to(gradient: Float[Tensor, ...], shape: torch.Size) -> Float[Tensor, ...]:
    """The gradient of a tensor of that shape which was broadcast: summed over every axis that stretched.

    An entry that was used many times over gets the sum of what comes back from each use.
    """
    if gradient.shape == shape:
        return gradient
    new = gradient.ndim - len(shape)
    stretched = [new + i for i, size in enumerate(shape) if size == 1 and gradient.shape[new + i] != 1]
    axes = [*range(new), *stretched]
    return (gradient.sum(axes, keepdim=True) if axes else gradient).reshape(shape)


def add_forward(a: Float[Tensor, ...], b: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """a + b, broadcast: a residual connection, a skip connection, a bias."""
    return a + b


def add_backward(gradient: Tensor, a: Tensor, b: Tensor) -> Gradients:
    """A sum hands its gradient to both."""
    return {"a": summed_to(gradient, a.shape), "b": summed_to(gradient, b.shape)}


def subtract_forward(a: Float[Tensor, ...], b: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """a - b, broadcast."""
    return a - b


def subtract_backward(gradient: Tensor, a: Tensor, b: Tensor) -> Gradients:
    """da = g, db = -g."""
    return {"a": summed_to(gradient, a.shape), "b": -summed_to(gradient, b.shape)}


def multiply_forward(a: Float[Tensor, ...], b: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """a * b, broadcast."""
    return a * b


def multiply_backward(gradient: Tensor, a: Tensor, b: Tensor) -> Gradients:
    """da = g b, db = g a."""
    return {"a": summed_to(gradient * b, a.shape), "b": summed_to(gradient * a, b.shape)}


def modulate_forward(x: Float[Tensor, ...], by: Float[Tensor, ...]) -> Float[Tensor, ...]:
    """x (1 + by), broadcast. Source: Perez et al. 2018, FiLM, section 7.2, where a scale is told from 1 on."""
    return x * (1 + by)


def modulate_backward(gradient: Tensor, x: Tensor, by: Tensor) -> Gradients:
    """dx = g (1 + by), d_by = g x."""
    return {"x": summed_to(gradient * (1 + by), x.shape), "by": summed_to(gradient * x, by.shape)}


def divide_forward(x: Float[Tensor, ...], by: Tensor) -> Float[Tensor, ...]:
    """x / by, where `by` is a constant: how many there are, say."""
    return x / by


def divide_backward(gradient: Tensor, x: Tensor, by: Tensor) -> Gradients:
    """dx = g / by."""
    return {"x": summed_to(gradient / by, x.shape)}


def total_forward(x: Float[Tensor, ...], *, axis: int) -> Float[Tensor, ...]:
    """The sum over one axis, which is gone afterwards."""
    return x.sum(axis)


def total_backward(gradient: Tensor, x: Tensor, axis: int) -> Gradients:
    """Each summand gets the gradient of the sum: a sum forward is a broadcast backward."""
    return {"x": gradient.unsqueeze(axis).expand(x.shape)}


def running_total_forward(x: Float[Tensor, ...], *, axis: int) -> Float[Tensor, ...]:
    """At each place the sum of all up to it."""
    return x.cumsum(axis)


def running_total_backward(gradient: Tensor, axis: int) -> Gradients:
    """x_j is in every sum from j on: the running total from the other end."""
    return {"x": gradient.flip(axis).cumsum(axis).flip(axis)}


def weigh_forward(weights: Float[Tensor, "N K"], of: Float[Tensor, "N K V"]) -> Float[Tensor, "N V"]:
    """For each n the sum over k of weights[n, k] of[n, k]: a product of a row and a matrix."""
    return torch.bmm(weights[:, None], of)[:, 0]


def weigh_backward(gradient: Tensor, weights: Tensor, of: Tensor) -> Gradients:
    """dw[n, k] = of[n, k] . g[n], d_of[n, k] = w[n, k] g[n]."""
    return {"weights": torch.bmm(of, gradient[:, :, None])[:, :, 0], "of": weights[:, :, None] * gradient[:, None]}


def take_forward(x: Float[Tensor, "M ..."], chosen: Int[Tensor, " N"]) -> Float[Tensor, "N ..."]:
    """x[chosen]; a row may be chosen more than once, or not at all."""
    return x.index_select(0, chosen)


def take_backward(gradient: Tensor, x: Tensor, chosen: Tensor) -> Gradients:
    """A row gets the sum over its uses; one that was not chosen gets 0."""
    return {"x": torch.zeros_like(x).index_add_(0, chosen, gradient)}


def add_at_forward(x: Float[Tensor, " M"], at: Int[Tensor, " N"], values: Float[Tensor, " N"]) -> Float[Tensor, " M"]:
    """x with values[n] added at at[n]; a place may be named more than once."""
    return x.index_add(0, at, values)


def add_at_backward(gradient: Tensor, at: Tensor) -> Gradients:
    """x passes on all of it, values[n] what arrives at its place."""
    return {"x": gradient, "values": gradient.index_select(0, at)}


def line_totals_forward(x: Float[Tensor, "N D"], inside: Bool[Tensor, "B T"]) -> Float[Tensor, "N D"]:
    """Of lines laid end to end, at each place the sum of all its line has up to it.

    Args:
        inside: whether a line has a place there; N in all.
    """
    return _padded(x, inside).cumsum(1)[inside]


def line_totals_backward(gradient: Tensor, inside: Tensor) -> Gradients:
    """The running total from the other end of each line."""
    return {"x": _padded(gradient, inside).flip(1).cumsum(1).flip(1)[inside]}


def _padded(x: Tensor, inside: Tensor) -> Tensor:
    return x.new_zeros(*inside.shape, x.shape[1]).masked_scatter(inside[..., None], x)


add = Op(add_forward, add_backward)
subtract = Op(subtract_forward, subtract_backward)
multiply = Op(multiply_forward, multiply_backward)
modulate = Op(modulate_forward, modulate_backward)
divide = Op(divide_forward, divide_backward)
total = Op(total_forward, total_backward)
running_total = Op(running_total_forward, running_total_backward)
weigh = Op(weigh_forward, weigh_backward)
take = Op(take_forward, take_backward)
add_at = Op(add_at_forward, add_at_backward)
line_totals = Op(line_totals_forward, line_totals_backward)
