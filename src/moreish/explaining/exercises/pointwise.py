"""From g = f(x): chains of scalars, composite functions, broadcasting, products, fan-out."""

from __future__ import annotations

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import Draw, Exercise


def neuron(x, w, b):
    z = x * w + b
    loss = torch.tanh(z)

    # Backward
    dz = 1.0 - loss**2
    dx = dz * w
    dw = dz * x
    db = dz
    return locals()


def neuron_inputs(draw: Draw) -> dict[str, Tensor]:
    return {"x": draw.normal(), "w": draw.normal(), "b": draw.normal(scale=0.5)}


def composite(x):
    square = x**2
    e = torch.exp(-square)
    y = torch.sin(e)
    loss = y.sum()

    # Backward
    dy = torch.ones_like(y)
    de = torch.cos(e) * dy
    dsquare = -e * de
    dx = 2.0 * x * dsquare
    return locals()


def composite_inputs(draw: Draw) -> dict[str, Tensor]:
    return {"x": draw.normal(*draw.sizes((5,), (8,)))}


def fan_out(a, b):
    total = a + b
    product = a * b
    ratio = total / product
    loss = (ratio * a).mean()

    # Backward
    n = a.shape[0]
    dratio = a / n
    dtotal = dratio / product
    dproduct = -dratio * total / product**2
    da = ratio / n
    da = da + dtotal + dproduct * b
    db = dtotal + dproduct * a
    return locals()


def fan_out_inputs(draw: Draw) -> dict[str, Tensor]:
    sizes = draw.sizes((6,), (9,))
    return {"a": draw.uniform(0.5, 2.0, *sizes), "b": draw.uniform(0.5, 2.0, *sizes)}


def broadcasting(row, column, weight):
    grid = row + column
    y = grid**2
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dgrid = 2.0 * grid * dy
    drow = dgrid.sum(0, keepdim=True)
    dcolumn = dgrid.sum(1, keepdim=True)
    return locals()


def broadcasting_inputs(draw: Draw) -> dict[str, Tensor]:
    rows, columns = draw.sizes((4, 6), (7, 5))
    return {"row": draw.normal(1, columns), "column": draw.normal(rows, 1), "weight": draw.normal(rows, columns)}


def linear(x, w, b, weight):
    product = x @ w
    y = product + b
    loss = (y * weight).mean()

    # Backward
    dy = weight / y.numel()
    dproduct = dy
    db = dy.sum(0)
    dx = dproduct @ w.T
    dw = x.T @ dproduct
    return locals()


def linear_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d, h = draw.sizes((5, 3, 7), (4, 6, 8))
    return {"x": draw.normal(n, d), "w": draw.normal(d, h), "b": draw.normal(h), "weight": draw.normal(n, h)}


def residual(x, w, weight):
    z = x @ w
    h = torch.relu(z)
    skip = 0.3 * x
    y = x + h + skip
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dskip = dy
    dh = dy
    dz = dh * (z > 0)
    dx = dy + 0.3 * dskip
    dx = dx + dz @ w.T
    dw = x.T @ dz
    return locals()


def residual_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((5, 4), (7, 3))
    return {"x": draw.normal(n, d), "w": draw.normal(d, d), "weight": draw.normal(n, d)}


def dropout(x, mask, w, weight):
    keep = 0.8
    kept = x * mask / keep
    y = kept @ w
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dkept = dy @ w.T
    dx = dkept * mask / keep
    dw = kept.T @ dy
    return locals()


def dropout_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d, h = draw.sizes((6, 5, 3), (4, 7, 2))
    return {
        "x": draw.normal(n, d), "mask": draw.mask(0.8, n, d), "w": draw.normal(d, h), "weight": draw.normal(n, h),
    }  # fmt: skip


def maximum(x, weight):
    largest = x.max(1, keepdim=True).values
    scaled = x / largest
    loss = (scaled * weight).sum()

    # Backward
    dscaled = weight
    dlargest = (-dscaled * x / largest**2).sum(1, keepdim=True)
    dx = dscaled / largest
    dx = dx + dlargest * (x == largest)
    return locals()


def maximum_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((4, 6), (5, 3))
    return {"x": draw.uniform(0.5, 3.0, n, d), "weight": draw.normal(n, d)}


NEURON = Exercise(
    "neuron", "A neuron of three scalars: loss = tanh(x * w + b)", neuron, neuron_inputs,
    "One neuron of micrograd, on single numbers. The local derivative of each operation times the derivative of "
    "what comes out of it: that is the chain rule.",
    ("The derivative of the loss with respect to itself is 1, so dz is only the local derivative of tanh.",
     "tanh'(z) = 1 - tanh(z)**2, and tanh(z) is at hand: it is loss.",
     "In a product each factor gets the other one times the incoming derivative; in a sum each term gets it whole."),
)  # fmt: skip
COMPOSITE = Exercise(
    "composite", "A composite function: loss = sum(sin(exp(-x**2)))", composite, composite_inputs,
    "The notes' practice of analytical gradients: g = f(x) three times over, entry by entry.",
    ("Go from the loss back, one statement at a time; each derivative is a local one times the one just found.",
     "A sum hands its incoming derivative, here 1, to every entry.",
     "e = exp(-square), so its derivative with respect to square is -e."),
)  # fmt: skip
FAN_OUT = Exercise(
    "fan_out", "Fan-out: one value used in three places", fan_out, fan_out_inputs,
    "a is used three times. Its derivative is the sum of what comes back from each of its uses.",
    ("List for each name the statements that use it; there are as many contributions.",
     "The mean over n entries divides what it hands back by n.",
     "d(total / product) with respect to product is -total / product**2."),
)  # fmt: skip
BROADCASTING = Exercise(
    "broadcasting", "Broadcasting: a row plus a column", broadcasting, broadcasting_inputs,
    "Where the forward stretched a tensor by broadcasting, the backward sums over the stretched axis.",
    ("A derivative has the shape of its tensor: compare the shapes of row, column and grid.",
     "row was copied down axis 0, so the derivatives of the copies are added up along axis 0.",
     "keepdim=True keeps the axis that was summed over, as an axis of size 1."),
)  # fmt: skip
LINEAR = Exercise(
    "linear", "A linear layer: x @ w + b", linear, linear_inputs,
    "The matrix product, where the shapes alone nearly tell what to write.",
    ("dx has the shape of x: which product of dproduct and w has it?",
     "dx = dproduct times w transposed, dw = x transposed times dproduct.",
     "b was broadcast over the rows."),
)  # fmt: skip
MAXIMUM = Exercise(
    "maximum", "Dividing by the largest of a row", maximum, maximum_inputs,
    "The largest entry is used twice: once as itself and once as the divisor of its whole row.",
    ("x reaches the loss by two ways: as the dividend, and through largest.",
     "max hands its derivative to the entry that was the largest, and nothing to the others.",
     "largest was broadcast along axis 1."),
)  # fmt: skip
DROPOUT = Exercise(
    "dropout", "Dropout with a given mask", dropout, dropout_inputs,
    "What was dropped gets no derivative, and what was kept is scaled in both directions. Srivastava et al. 2014; "
    "scaled in training, as torch does it.",
    ("mask and keep are constants.", "What multiplies in the forward multiplies in the backward."),
)  # fmt: skip
RESIDUAL = Exercise(
    "residual", "A residual sum with a scaled skip", residual, residual_inputs,
    "y = x + relu(x @ w) + 0.3 * x: x comes back by three ways. He et al. 2015.",
    ("A sum hands its incoming derivative to every term, unchanged.",
     "relu hands on where its input was above 0.",
     "dx has three contributions: from the sum itself, from the skip and from the product."),
)  # fmt: skip
