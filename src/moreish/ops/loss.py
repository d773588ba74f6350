"""The loss: negative log-likelihood of the targets, from logits in one piece."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.shapes import IGNORE


def cross_entropy(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """The mean over targets of -log softmax(logits)[target], in nats; targets of IGNORE do not count.

    With label smoothing the target is (1 - smoothing) of itself and `smoothing` of all V symbols alike: Szegedy et al.
    2016, section 7.
    """
    return F.cross_entropy(logits, targets.long(), ignore_index=IGNORE, label_smoothing=smoothing)
