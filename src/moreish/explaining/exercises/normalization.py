"""Statistics and what is normalised by them: variance, layer norm, RMS norm, the sum of exponentials."""

from __future__ import annotations

from torch import Tensor

from moreish.explaining.exercises.definition import Draw, Exercise


def variance(x, weight):
    n = x.shape[0]
    mean = x.sum(0, keepdim=True) / n
    deviation = x - mean
    square = deviation**2
    total = square.sum(0, keepdim=True)
    biased = total / n
    unbiased = total / (n - 1)
    ratio = biased / (unbiased + 1.0)
    loss = (ratio * weight).sum()

    # Backward
    dratio = weight
    dbiased = dratio / (unbiased + 1.0)
    dunbiased = -dratio * biased / (unbiased + 1.0) ** 2
    dtotal = dbiased / n
    dtotal += dunbiased / (n - 1)
    dsquare = dtotal.expand_as(square)
    ddeviation = 2.0 * deviation * dsquare
    dmean = -ddeviation.sum(0, keepdim=True)
    dx = ddeviation + dmean / n
    return locals()


def variance_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((5, 3), (8, 4))
    return {"x": draw.normal(n, d), "weight": draw.normal(1, d)}


def logsumexp(x, weight):
    largest = x.max(1, keepdim=True).values
    shifted = x - largest
    e = shifted.exp()
    total = e.sum(1, keepdim=True)
    y = total.log() + largest
    loss = (y * weight).mean()

    # Backward
    dy = weight / y.numel()
    dtotal = dy / total
    de = dtotal.expand_as(e)
    dshifted = de * e
    dlargest = dy - dshifted.sum(1, keepdim=True)
    dx = dshifted + dlargest * (x == largest)
    return locals()


def logsumexp_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((5, 3), (4, 6))
    return {"x": draw.normal(n, d, scale=2.0), "weight": draw.normal(n, 1)}


def layer_norm(x, gain, bias, weight):
    d = x.shape[1]
    mean = x.mean(1, keepdim=True)
    centred = x - mean
    variance = (centred**2).mean(1, keepdim=True)
    inverse = (variance + 1e-5) ** -0.5
    normal = centred * inverse
    y = normal * gain + bias
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dgain = (dy * normal).sum(0)
    dbias = dy.sum(0)
    dnormal = dy * gain
    dinverse = (dnormal * centred).sum(1, keepdim=True)
    dvariance = -0.5 * (variance + 1e-5) ** -1.5 * dinverse
    dcentred = dnormal * inverse
    dcentred += 2.0 * centred * dvariance / d
    dmean = -dcentred.sum(1, keepdim=True)
    dx = dcentred + dmean / d
    return locals()


def layer_norm_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((4, 6), (7, 5))
    return {
        "x": draw.normal(n, d, scale=1.5), "gain": draw.uniform(0.5, 1.5, d), "bias": draw.normal(d),
        "weight": draw.normal(n, d),
    }  # fmt: skip


def rms_norm(x, gain, weight):
    d = x.shape[1]
    square = x**2
    mean_square = square.sum(1, keepdim=True) / d
    inverse = (mean_square + 1e-5) ** -0.5
    normal = x * inverse
    y = normal * gain
    loss = (y * weight).sum()

    # Backward
    dy = weight
    dgain = (dy * normal).sum(0)
    dnormal = dy * gain
    dinverse = (dnormal * x).sum(1, keepdim=True)
    dmean_square = -0.5 * (mean_square + 1e-5) ** -1.5 * dinverse
    dsquare = (dmean_square / d).expand_as(square)
    dx = dnormal * inverse
    dx += 2.0 * x * dsquare
    return locals()


def rms_norm_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((5, 4), (3, 7))
    return {"x": draw.normal(n, d), "gain": draw.uniform(0.5, 1.5, d), "weight": draw.normal(n, d)}


VARIANCE = Exercise(
    "variance", "Two variances: divided by n and by n - 1", variance, variance_inputs,
    "Bessel's correction: the unbiased variance divides the same sum by n - 1. Mind which is which.",
    ("total is used twice, once divided by n and once by n - 1.",
     "The mean is used by every deviation of its column.",
     "x is used twice: in its deviation and in the mean."),
)  # fmt: skip
LOGSUMEXP = Exercise(
    "logsumexp", "Log-sum-exp, safe against overflow", logsumexp, logsumexp_inputs,
    "The logarithm of a sum of exponentials, the largest taken out first. largest is subtracted and added again.",
    ("largest is used twice, with opposite signs: what comes back through it adds up to nearly nothing.",
     "total.log() hands back 1 / total times the incoming derivative.",
     "All together dx is softmax(x) times the incoming derivative: check yours with it."),
)  # fmt: skip
LAYER_NORM = Exercise(
    "layer_norm", "Layer normalisation step by step", layer_norm, layer_norm_inputs,
    "Each row normalised by its own mean and variance, divided by its length. Ba, Kiros and Hinton 2016.",
    ("As BatchNorm, along the other axis.",
     "centred is used twice: in normal and in the variance. x is used twice: in centred and in the mean.",
     "gain and bias were broadcast over the rows, mean and inverse along them."),
)  # fmt: skip
RMS_NORM = Exercise(
    "rms_norm", "Root mean square normalisation", rms_norm, rms_norm_inputs,
    "Layer normalisation without the mean. Zhang and Sennrich 2019.",
    ("x is used twice: in normal and in its square.",
     "inverse was broadcast along the row, so its derivative is a sum along the row.",
     "The derivative of v**-0.5 is -0.5 * v**-1.5."),
)  # fmt: skip
