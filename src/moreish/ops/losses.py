"""Losses beside the cross-entropy of loss.py: of what was predicted, and terms that are added to it.

Those of predictions are means over the targets that count, in nats; a target of IGNORE does not. With n of them, p the
softmax of a row's logits, t its target and Z the sum of its e^logit.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from moreish.ops.loss import shares, where
from moreish.ops.op import Gradients, Op
from moreish.shapes import IGNORE

GAMMA = 2.0
"""Lin et al. 2017, section 3.2: what served them best."""
LOG_Z_SHARE = 1e-4
"""Chowdhery et al. 2022 (PaLM), section 5: the coefficient of the z-loss."""


def negative_log_likelihood_forward(
    log_probabilities: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
) -> Float[Tensor, ""]:
    """The mean of -log_probabilities[n, target]. Source: Fisher 1922; of a text, Bengio et al. 2003, section 2."""
    return F.nll_loss(log_probabilities, targets.long(), ignore_index=IGNORE)


def negative_log_likelihood_backward(gradient: Tensor, log_probabilities: Tensor, targets: Tensor) -> Gradients:
    """The target's own entry is the only one looked at: d[n, t] = -g / n, all others 0."""
    share = shares(gradient, targets)[:, None]
    d = torch.zeros_like(log_probabilities, memory_format=torch.contiguous_format)
    return {"log_probabilities": d.scatter_(1, where(targets), -share)}


def focal_forward(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], *, gamma: float = GAMMA
) -> Float[Tensor, ""]:
    """The mean of -(1 - p_t)^gamma log p_t: what is nearly right already counts for little.

    Source: Lin, Goyal, Girshick, He and Dollár 2017, equation 4, with a softmax over V symbols for their sigmoid, and
    without their weights of classes. gamma = 0 is the cross-entropy; gamma may be any number from 0.
    """
    log_p = torch.log_softmax(logits, -1).gather(1, where(targets))[:, 0]
    nats = -(-torch.expm1(log_p)).pow(gamma) * log_p  # expm1, because 1 - p of a p near 1 has no digits left
    return _mean(nats, targets)


def focal_backward(gradient: Tensor, logits: Tensor, targets: Tensor, gamma: float) -> Gradients:
    """With q = 1 - p_t, L = -q^gamma log p_t, and dp_t / d log p_t = p_t:

    dL / d log p_t = -q^gamma + gamma p_t q^(gamma - 1) log p_t = -w    with w = q^gamma (1 + gamma p_t r)
    and r = -log p_t / q, which goes to 1 as p_t does, so that no power below 0 is taken. d log p_t / dz = 1[t] - p:
    dz = w (p - 1[t]) g / n: the cross-entropy's gradient, times w.
    """
    log_probabilities = torch.log_softmax(logits, -1)
    own = where(targets)
    log_p = log_probabilities.gather(1, own)
    q = -torch.expm1(log_p)
    ratio = torch.where(q > 0, -log_p / q, 1.0)
    weight = q.pow(gamma) * torch.addcmul(torch.ones_like(q), log_p.exp(), ratio, value=gamma)
    d = log_probabilities.exp()
    d.scatter_(1, own, -q)  # p_t - 1, to its last digit
    return {"logits": d.mul_(weight * shares(gradient, targets)[:, None])}


def z_loss_forward(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], *, coefficient: float = LOG_Z_SHARE
) -> Float[Tensor, ""]:
    """coefficient times the mean of (log Z)^2; of the targets it matters only which count.

    Source: Chowdhery et al. 2022 (PaLM), section 5; before it, Devlin et al. 2014 (self-normalised models). The name is
    also that of another loss, which takes the softmax's place: de Brébisson and Vincent 2016.
    """
    return coefficient * _mean(torch.logsumexp(logits, -1).square(), targets)


def z_loss_backward(gradient: Tensor, logits: Tensor, targets: Tensor, coefficient: float) -> Gradients:
    """d log Z / dz = p, so dz = 2 coefficient log Z p g / n: all of a row's logits are moved, the likely ones most."""
    log_z = torch.logsumexp(logits, -1, keepdim=True)
    share = shares(gradient, targets)[:, None]
    return {"logits": (logits - log_z).exp().mul_(2 * coefficient * log_z * share)}


def confidence_penalty_forward(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], *, coefficient: float = 0.1
) -> Float[Tensor, ""]:
    """-coefficient times the mean of the entropies H = -sum p log p; of the targets it matters only which count.

    Source: Pereyra, Tucker, Chorowski, Kaiser and Hinton 2017, section 3.
    """
    log_probabilities = torch.log_softmax(logits, -1)
    return coefficient * _mean((log_probabilities.exp() * log_probabilities).sum(-1), targets)


def confidence_penalty_backward(gradient: Tensor, logits: Tensor, targets: Tensor, coefficient: float) -> Gradients:
    """d(sum p log p) / dp = log p + 1, and through the softmax dz = p (that less its mean under p), so the 1 cancels:

    dz = coefficient p (log p + H) g / n: what is likelier than the typical symbol is pushed down.
    """
    log_probabilities = torch.log_softmax(logits, -1)
    p = log_probabilities.exp()
    minus_entropy = torch.linalg.vecdot(p, log_probabilities)[:, None]
    share = shares(gradient, targets)[:, None]
    return {"logits": (log_probabilities - minus_entropy).mul_(p).mul_(coefficient * share)}


def l2_penalty_forward(weight: Float[Tensor, "*N"], *, coefficient: float = 0.01) -> Float[Tensor, ""]:
    """coefficient / 2 times the sum of weight^2.

    Source: Hoerl and Kennard 1970; for networks, Krogh and Hertz 1991. With the half, its gradient is what torch's SGD
    adds for `weight_decay=coefficient`; the lecture's `0.01 * (W**2).mean()` is a coefficient of 0.02 / entries.
    """
    return 0.5 * coefficient * weight.square().sum()


def l2_penalty_backward(gradient: Tensor, weight: Tensor, coefficient: float) -> Gradients:
    """dw = coefficient w g: each step takes the same share of every weight."""
    return {"weight": weight * (coefficient * gradient)}


def l1_penalty_forward(weight: Float[Tensor, "*N"], *, coefficient: float = 0.01) -> Float[Tensor, ""]:
    """coefficient times the sum of |weight|. Source: Tibshirani 1996."""
    return coefficient * weight.abs().sum()


def l1_penalty_backward(gradient: Tensor, weight: Tensor, coefficient: float) -> Gradients:
    """dw = coefficient sign(w) g: each step takes the same amount; at 0, where there is no derivative, none (torch's
    choice, and one of the subgradients).
    """
    return {"weight": weight.sign().mul_(coefficient * gradient)}


def _mean(nats: Tensor, targets: Tensor) -> Tensor:
    """The mean over the rows that count; nan, as in torch, where none does."""
    counted = targets != IGNORE
    return nats.masked_fill(~counted, 0).sum() / counted.sum()


negative_log_likelihood = Op(negative_log_likelihood_forward, negative_log_likelihood_backward)
# Always by hand: where p_t is 1 and gamma below 1, autograd multiplies an infinite slope by 0 and gives nan.
focal = Op(focal_forward, focal_backward, always=True)
z_loss = Op(z_loss_forward, z_loss_backward)
confidence_penalty = Op(confidence_penalty_forward, confidence_penalty_backward)
l2_penalty = Op(l2_penalty_forward, l2_penalty_backward)
l1_penalty = Op(l1_penalty_forward, l1_penalty_backward)
