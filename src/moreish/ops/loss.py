"""The loss: negative log-likelihood of the targets, from logits in one piece.

Softmax and logarithm together leave a gradient of one subtraction: what was said less what was so.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.op import Gradients, Op
from moreish.shapes import IGNORE


def cross_entropy_forward(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], *, smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """The mean over targets of -log softmax(logits)[target], in nats; targets of IGNORE do not count.

    With label smoothing the target is (1 - smoothing) of itself and `smoothing` of all V symbols alike: Szegedy et al.
    2016, section 7.
    """
    return F.cross_entropy(logits, targets.long(), ignore_index=IGNORE, label_smoothing=smoothing)


def cross_entropy_backward(gradient: Tensor, logits: Tensor, targets: Tensor, smoothing: float) -> Gradients:
    """Of one row -log p_t has the gradient p - 1[target], and the mean over n rows 1/n of it; a smoothed target takes
    the place of 1[target].

    Source: Bridle 1990; Karpathy, makemore part 4, exercise 2.
    """
    d = (logits - logits.amax(-1, keepdim=True)).exp()
    d.div_(d.sum(-1, keepdim=True))  # a softmax over few symbols takes ten times as long
    d.scatter_add_(1, where(targets), d.new_full((1, 1), smoothing - 1).expand(len(d), 1))
    if smoothing:
        d.sub_(smoothing / logits.shape[1])
    return {"logits": d.mul_(shares(gradient, targets)[:, None])}


def expected_nats_forward(logits: Float[Tensor, "N V"], weights: Float[Tensor, "N V"]) -> Float[Tensor, ""]:
    """The sum over n and v of -weights[n, v] log softmax(logits[n])[v]: every target at once, each by its share."""
    return -(weights * torch.log_softmax(logits, -1)).sum()


def expected_nats_backward(gradient: Tensor, logits: Tensor, weights: Tensor) -> Gradients:
    """d_logits = p sum(w) - w, each sum over a row; d_weights = -log p."""
    log_p = torch.log_softmax(logits, -1)
    said = log_p.exp() * weights.sum(-1, keepdim=True)
    return {"logits": (said - weights) * gradient, "weights": -log_p * gradient}


def where(targets: Int[Tensor, " N"]) -> Int[Tensor, "N 1"]:
    """The column of each row's target; any, for one that does not count."""
    return targets.long().clamp_min(0)[:, None]


def shares(gradient: Float[Tensor, ""], targets: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """What each row gets of a mean's gradient: g / n where its target counts, else 0."""
    counted = targets != IGNORE
    return counted * (gradient / counted.sum())


cross_entropy = Op(cross_entropy_forward, cross_entropy_backward)
expected_nats = Op(expected_nats_forward, expected_nats_backward)
