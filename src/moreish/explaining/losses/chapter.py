"""The losses, as a chapter's data: what each is, its gradient, when it serves and when not, and what it is checked by.

Figures are measured in figures.py; page.py puts both on `docs/losses.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish.errors import UsageError, did_you_mean
from moreish.ops.loss import cross_entropy
from moreish.ops.losses import (
    GAMMA,
    LOG_Z_SHARE,
    confidence_penalty,
    focal,
    l1_penalty,
    l2_penalty,
    negative_log_likelihood,
    z_loss,
)
from moreish.shapes import IGNORE

SMOOTHING = 0.1
"""Szegedy et al. 2016, section 7."""
CONFIDENCE = 0.1
"""Small, so that the cross-entropy leads; Pereyra et al. 2017 choose theirs task by task."""
PENALTY = 0.01

Call = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss of the chapter. Formulas are plain text: they are read in a terminal too.

    `call` and `oracle` take float [N V] and targets int [N]; a penalty on weights makes nothing of the targets.
    """

    name: str
    title: str
    of: str
    """What its first input is: `log-probabilities`, `logits` or `weights`."""
    setting: str
    """Its coefficient as it is used here; "" where it has none."""
    formula: str
    gradient: str
    why: str
    """How the gradient follows, and what it means."""
    when: str
    when_not: str
    source: str
    op: str
    """The op, as it is imported."""
    call: Call
    oracle: Call
    """The same by something that nobody here wrote."""
    oracle_name: str
    added: bool = False
    """Whether it is a term that is added to the cross-entropy, and says nothing of the target alone."""


def _z_loss_of_torch(logits: Tensor, targets: Tensor) -> Tensor:
    return LOG_Z_SHARE * torch.logsumexp(logits[targets != IGNORE], 1).square().mean()


def _focal_of_formula(logits: Tensor, targets: Tensor) -> Tensor:
    nats = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
    return ((1 - torch.exp(-nats)).pow(GAMMA) * nats)[targets != IGNORE].mean()


def _entropy_of_torch(logits: Tensor, targets: Tensor) -> Tensor:
    return -CONFIDENCE * torch.distributions.Categorical(logits=logits[targets != IGNORE]).entropy().mean()


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss(
            name="negative-log-likelihood",
            title="Negative log-likelihood",
            of="log-probabilities",
            setting="",
            formula="L = -mean over n of l[n, t]        l: log-probabilities, t: the row's target",
            gradient="dL/dl[n, j] = -1/N where j is the target, else 0",
            why=(
                "The likelihood of a list is the product of what the model gave each symbol; its logarithm is a sum, "
                "and the mean makes lists of different lengths comparable. Only the entry of the symbol that came is "
                "looked at: that the others lose by it is left to the softmax below."
            ),
            when="To measure any model that gives probabilities, count models too: every figure of Moreish is one.",
            when_not=(
                "To learn from logits: a logarithm taken of a softmax that has already rounded to 0 is infinite. "
                "Take the cross-entropy, which does both at once."
            ),
            source="Fisher 1922; for models of text, Bengio et al. 2003, section 2; makemore part 1.",
            op="moreish.ops.losses.negative_log_likelihood",
            call=negative_log_likelihood,
            oracle=lambda x, t: F.nll_loss(x, t, ignore_index=IGNORE),
            oracle_name="torch.nn.functional.nll_loss",
        ),
        Loss(
            name="cross-entropy",
            title="Cross-entropy",
            of="logits",
            setting="",
            formula="L = -mean over n of log p[n, t]        p = softmax(z), z: logits",
            gradient="dL/dz[n, j] = (p[n, j] - 1[j = t]) / N",
            why=(
                "log p_t = z_t - log sum of e^z, and the derivative of the second part is p: what was said, less what "
                "was so. A row's gradients sum to 0: what one symbol gains the others lose."
            ),
            when=(
                "First, and almost always. Its least value is reached at the true probabilities, and it says in nats "
                "how far off one is."
            ),
            when_not=(
                "Where the targets themselves are often wrong (smooth them), or where right answers must count "
                "for little because there are so many easy ones (focal)."
            ),
            source="Bridle 1990; makemore part 4, exercise 2.",
            op="moreish.ops.loss.cross_entropy",
            call=cross_entropy,
            oracle=lambda x, t: F.cross_entropy(x, t, ignore_index=IGNORE),
            oracle_name="torch.nn.functional.cross_entropy",
        ),
        Loss(
            name="label-smoothing",
            title="Label smoothing",
            of="logits",
            setting=f"s = {SMOOTHING:g}",
            formula="L = -mean over n of [ (1 - s) log p[n, t] + s/V sum over j of log p[n, j] ]",
            gradient="dL/dz[n, j] = (p[n, j] - (1 - s) 1[j = t] - s/V) / N",
            why=(
                "The cross-entropy against a target that is s parts anything. The gradient is 0 at "
                "p_t = 1 - s + s/V and turns round beyond: being surer than that costs."
            ),
            when=(
                "Where targets may be wrong, or where a classifier shall not grow over-confident; "
                "`moreish train --label-smoothing`."
            ),
            when_not=(
                "Where the probabilities themselves are used, as in sampling and in bits per symbol: they come out "
                "flatter than the truth, and the least loss is no longer 0."
            ),
            source="Szegedy et al. 2016, section 7; on what it does to the layers below, Müller et al. 2019.",
            op="moreish.ops.loss.cross_entropy(smoothing=)",
            call=lambda x, t: cross_entropy(x, t, smoothing=SMOOTHING),
            oracle=lambda x, t: F.cross_entropy(x, t, ignore_index=IGNORE, label_smoothing=SMOOTHING),
            oracle_name="torch.nn.functional.cross_entropy(label_smoothing=)",
        ),
        Loss(
            name="focal",
            title="Focal loss",
            of="logits",
            setting=f"gamma = {GAMMA:g}",
            formula="L = -mean over n of (1 - p[n, t])^gamma log p[n, t]",
            gradient=(
                "dL/dz[n, j] = w (p[n, j] - 1[j = t]) / N\n"
                "w = (1 - p_t)^gamma - gamma p_t (1 - p_t)^(gamma - 1) log p_t"
            ),
            why=(
                "The cross-entropy's gradient, its direction kept, times a weight of its own for each row. "
                "The weight goes to 0 as p_t goes to 1, and is above 1 where p_t is small: a loss that is turned down "
                "on one side is steeper on the other."
            ),
            when=(
                "Where easy examples are so many that together they drown the hard ones: the background of an image, "
                "a class that is nearly everything."
            ),
            when_not=(
                "In a language model: its least value is not at the true probabilities but at flatter ones, so samples "
                "and nats are off, and in a text what is easy is not a nuisance but most of what there is to know."
            ),
            source="Lin, Goyal, Girshick, He and Dollár 2017, equation 4, over V symbols and without class weights.",
            op="moreish.ops.losses.focal",
            call=focal,
            oracle=_focal_of_formula,
            oracle_name="the formula on torch's cross_entropy(reduction='none'), for torch has no focal loss",
        ),
        Loss(
            name="z-loss",
            title="z-loss",
            of="logits",
            setting=f"c = {LOG_Z_SHARE:g}",
            formula="L = c mean over n of (log Z[n])^2        Z = sum over j of e^z[j]; added to the cross-entropy",
            gradient="dL/dz[n, j] = 2 c log Z[n] p[n, j] / N",
            why=(
                "The softmax does not feel a number that is added to all logits; this does, and so holds them where "
                "floating-point numbers are dense. All of a row's logits are pushed the same way, each by its p."
            ),
            when="In long trainings at low precision (bfloat16), where logits drift until rounding breaks them.",
            when_not=(
                "In small models in float32, which gain nothing by it. Where it is taken, its coefficient stays "
                "small: 1e-4 in PaLM."
            ),
            source=(
                "Chowdhery et al. 2022 (PaLM), section 5; before it Devlin et al. 2014. The z-loss of de Brébisson and "
                "Vincent 2016 is another one, a replacement of the softmax that is not felt through a shift or a scale."
            ),
            op="moreish.ops.losses.z_loss",
            call=z_loss,
            oracle=_z_loss_of_torch,
            oracle_name="the formula on torch.logsumexp",
            added=True,
        ),
        Loss(
            name="confidence-penalty",
            title="Confidence penalty",
            of="logits",
            setting=f"b = {CONFIDENCE:g}",
            formula="L = -b mean over n of H[n]        H = -sum over j of p[j] log p[j]; added to the cross-entropy",
            gradient="dL/dz[n, j] = b p[n, j] (log p[n, j] + H[n]) / N",
            why=(
                "log p + H says how much likelier a symbol is than a typical one: such symbols are pushed down, in "
                "proportion to p, whichever of them is the target."
            ),
            when="Where label smoothing is thought of, but how wrong symbols rank should stay the model's own choice.",
            when_not="As label smoothing: where the probabilities themselves are used.",
            source="Pereyra, Tucker, Chorowski, Kaiser and Hinton 2017, section 3.",
            op="moreish.ops.losses.confidence_penalty",
            call=lambda x, t: confidence_penalty(x, t, coefficient=CONFIDENCE),
            oracle=_entropy_of_torch,
            oracle_name="torch.distributions.Categorical.entropy",
            added=True,
        ),
        Loss(
            name="l2",
            title="L2 penalty (weight decay)",
            of="weights",
            setting=f"c = {PENALTY:g}",
            formula="L = c/2 sum of w^2        added to the cross-entropy",
            gradient="dL/dw = c w",
            why="Each step of plain descent takes the share lr c of every weight: large weights shrink most.",
            when=(
                "Nearly always a little, on matrices and not on biases and gains; in a bigram network it is what "
                "adding to the counts is in a count model (makemore part 1)."
            ),
            when_not=(
                "Added to the loss under Adam: there it is divided by the gradient's own size. Decay the weights "
                "directly (AdamW; Loshchilov and Hutter 2019), as `moreish train --weight-decay` does."
            ),
            source="Hoerl and Kennard 1970; for networks Krogh and Hertz 1991; makemore part 1.",
            op="moreish.ops.losses.l2_penalty",
            call=lambda x, _: l2_penalty(x, coefficient=PENALTY),
            oracle=lambda x, _: PENALTY / 2 * F.mse_loss(x, torch.zeros_like(x), reduction="sum"),
            oracle_name="torch.nn.functional.mse_loss against 0",
            added=True,
        ),
        Loss(
            name="l1",
            title="L1 penalty",
            of="weights",
            setting=f"c = {PENALTY:g}",
            formula="L = c sum of |w|        added to the cross-entropy",
            gradient="dL/dw = c sign(w), and 0 at w = 0",
            why="Each step of plain descent takes the same amount lr c, so small weights are the first to reach 0.",
            when="To find out which weights are not needed, or to have many of them near 0.",
            when_not=(
                "For weights that are exactly 0: a step of descent overshoots it and comes back. That takes a proximal "
                "step, w = sign(w) max(|w| - lr c, 0)."
            ),
            source="Tibshirani 1996.",
            op="moreish.ops.losses.l1_penalty",
            call=lambda x, _: l1_penalty(x, coefficient=PENALTY),
            oracle=lambda x, _: PENALTY * F.l1_loss(x, torch.zeros_like(x), reduction="sum"),
            oracle_name="torch.nn.functional.l1_loss against 0",
            added=True,
        ),
    )
}
"""In the order of the chapter."""


def find_loss(name: str) -> Loss:
    """A loss by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in LOSSES:
        raise UsageError(f"no loss is called {name!r:.60}. {did_you_mean(name, LOSSES)}")
    return LOSSES[name]
