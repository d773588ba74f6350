"""The loss: negative log-likelihood of the targets, from logits in one piece."""

from __future__ import annotations

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
    """Of one row -log p_t has the gradient p - 1[target], and the mean over n rows 1/n of it: softmax and logarithm
    together leave nothing but what was said less what was so. A smoothed target takes the place of 1[target].

    Source: Bridle 1990; Karpathy, makemore part 4, exercise 2.
    """
    d = (logits - logits.amax(-1, keepdim=True)).exp()
    d.div_(d.sum(-1, keepdim=True))  # a softmax over few symbols takes ten times as long
    counted = targets != IGNORE
    own = targets.long().clamp_min(0)[:, None]
    d.scatter_add_(1, own, d.new_full((1, 1), smoothing - 1).expand(len(d), 1))
    if smoothing:
        d.sub_(smoothing / logits.shape[1])
    return {"logits": d.mul_((counted * (gradient / counted.sum()))[:, None])}


cross_entropy = Op(cross_entropy_forward, cross_entropy_backward)
