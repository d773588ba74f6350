"""Losses: binary cross-entropy, label smoothing, focal loss, a weight decay term."""

from __future__ import annotations

import torch
from torch import Tensor

from moreish.explaining.exercises.definition import Draw, Exercise


def binary_cross_entropy(x, w, targets):
    z = x @ w
    p = torch.sigmoid(z)
    log_p = p.log()
    log_not_p = (1.0 - p).log()
    each = targets * log_p + (1.0 - targets) * log_not_p
    loss = -each.mean()

    # Backward
    n = x.shape[0]
    deach = torch.full_like(each, -1.0 / n)
    dlog_p = targets * deach
    dlog_not_p = (1.0 - targets) * deach
    dp = dlog_p / p
    dp -= dlog_not_p / (1.0 - p)
    dz = p * (1.0 - p) * dp
    dx = torch.outer(dz, w)
    dw = x.T @ dz
    return locals()


def binary_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((7, 3), (5, 4))
    return {"x": draw.normal(n, d), "w": draw.normal(d), "targets": draw.mask(0.5, n)}


def weight_decay(x, w, targets):
    y = x @ w
    error = y - targets
    squared = (error**2).mean()
    penalty = 0.05 * (w**2).sum()
    loss = squared + penalty

    # Backward
    n = x.shape[0]
    dsquared = torch.ones_like(squared)
    dpenalty = torch.ones_like(penalty)
    derror = 2.0 * error / n * dsquared
    dy = derror
    dx = torch.outer(dy, w)
    dw = x.T @ dy
    dw += 0.05 * 2.0 * w * dpenalty
    return locals()


def decay_inputs(draw: Draw) -> dict[str, Tensor]:
    n, d = draw.sizes((6, 4), (5, 3))
    return {"x": draw.normal(n, d), "w": draw.normal(d), "targets": draw.normal(n)}


def label_smoothing(logits, targets):
    n = logits.shape[0]
    classes = logits.shape[1]
    logprobs = logits.log_softmax(1)
    picked = logprobs[range(n), targets]
    uniform = logprobs.sum(1) / classes
    loss = -(0.9 * picked + 0.1 * uniform).mean()

    # Backward
    dpicked = torch.full_like(picked, -0.9 / n)
    duniform = torch.full_like(uniform, -0.1 / n)
    dlogprobs = (duniform / classes).unsqueeze(1).expand(n, classes).clone()
    dlogprobs[range(n), targets] += dpicked
    dlogits = dlogprobs - logprobs.exp() * dlogprobs.sum(1, keepdim=True)
    return locals()


def focal_loss(logits, targets):
    n = logits.shape[0]
    logprobs = logits.log_softmax(1)
    picked = logprobs[range(n), targets]
    p = picked.exp()
    missed = (1.0 - p) ** 2
    loss = -(missed * picked).mean()

    # Backward
    dmissed = -picked / n
    dp = -2.0 * (1.0 - p) * dmissed
    dpicked = -missed / n
    dpicked = dpicked + p * dp
    dlogprobs = torch.zeros_like(logprobs)
    dlogprobs[range(n), targets] = dpicked
    dlogits = dlogprobs - logprobs.exp() * dlogprobs.sum(1, keepdim=True)
    return locals()


def scores_inputs(draw: Draw) -> dict[str, Tensor]:
    n, v = draw.sizes((6, 4), (5, 7))
    return {"logits": draw.normal(n, v), "targets": draw.whole(v, n)}


BINARY = Exercise(
    "binary_cross_entropy", "A sigmoid and the binary cross-entropy", binary_cross_entropy, binary_inputs,
    "Logistic regression step by step. All together dz is (p - targets) / n.",
    ("p is used twice: in log(p) and in log(1 - p).", "The derivative of log(1 - p) with respect to p is -1 / (1 - p).",
     "w is a vector here: each row of dx is w times one number."),
)  # fmt: skip
WEIGHT_DECAY = Exercise(
    "weight_decay", "A squared error with a weight decay term", weight_decay, decay_inputs,
    "The penalty is a second way from the weights to the loss. Krogh and Hertz 1991.",
    ("w is used twice: in the product and in the penalty.", "The mean divides by n, the penalty does not.",
     "The derivative of w**2 is 2 * w."),
)  # fmt: skip
LABEL_SMOOTHING = Exercise(
    "label_smoothing", "Cross-entropy with label smoothing", label_smoothing, scores_inputs,
    "Nine tenths of the target, one tenth spread over all classes. Szegedy et al. 2016.",
    ("logprobs is used twice: the target's entry alone, and all of them.",
     "logits.log_softmax(1) hands back d - softmax * (d summed over the row), where d is what came in.",
     "logprobs.exp() is the softmax."),
)  # fmt: skip
FOCAL_LOSS = Exercise(
    "focal_loss", "Focal loss", focal_loss, scores_inputs,
    "Cross-entropy that looks away from what is predicted well already, with gamma 2. Lin et al. 2017.",
    ("picked is used twice: as itself, and through p.", "The derivative of (1 - p)**2 is -2 * (1 - p).",
     "logits.log_softmax(1) hands back d - softmax * (d summed over the row)."),
)  # fmt: skip
