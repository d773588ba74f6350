"""The lecture's four: cross-entropy and the whole MLP step by step, then with its parts fused.

Source: Andrej Karpathy, "Becoming a Backprop Ninja" (makemore, part 4), with other sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from moreish.explaining.exercises.definition import Draw, Exercise


def cross_entropy(logits, targets):
    n = logits.shape[0]
    logit_maxes = logits.max(1, keepdim=True).values
    norm_logits = logits - logit_maxes
    counts = norm_logits.exp()
    counts_sum = counts.sum(1, keepdim=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = probs.log()
    loss = -logprobs[range(n), targets].mean()

    # Backward
    dlogprobs = torch.zeros_like(logprobs)
    dlogprobs[range(n), targets] = -1.0 / n
    dprobs = dlogprobs / probs
    dcounts_sum_inv = (dprobs * counts).sum(1, keepdim=True)
    dcounts_sum = -(counts_sum**-2) * dcounts_sum_inv
    dcounts = dprobs * counts_sum_inv
    dcounts += dcounts_sum
    dnorm_logits = dcounts * counts
    dlogit_maxes = -dnorm_logits.sum(1, keepdim=True)
    dlogits = dnorm_logits.clone()
    dlogits += F.one_hot(logits.max(1).indices, logits.shape[1]) * dlogit_maxes
    return locals()


def cross_entropy_fused(logits, targets):
    loss = F.cross_entropy(logits, targets)

    # Backward
    n = logits.shape[0]
    dlogits = F.softmax(logits, 1)
    dlogits[range(n), targets] -= 1.0
    dlogits = dlogits / n
    return locals()


def logits_inputs(draw: Draw) -> dict[str, Tensor]:
    n, v = draw.sizes((5, 7), (8, 6))
    return {"logits": draw.normal(n, v), "targets": draw.whole(v, n)}


def batch_norm_fused(hprebn, bngain, bnbias, weight):
    n = hprebn.shape[0]
    bnmean = hprebn.mean(0, keepdim=True)
    bnvar = hprebn.var(0, keepdim=True, unbiased=True)
    bnvar_inv = (bnvar + 1e-5) ** -0.5
    bnraw = (hprebn - bnmean) * bnvar_inv
    hpreact = bngain * bnraw + bnbias
    loss = (hpreact * weight).sum()

    # Backward
    dhpreact = weight
    dbngain = (bnraw * dhpreact).sum(0, keepdim=True)
    dbnbias = dhpreact.sum(0, keepdim=True)
    dhprebn = (
        bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))
    )
    return locals()


def batch_norm_inputs(draw: Draw) -> dict[str, Tensor]:
    n, h = draw.sizes((6, 4), (9, 5))
    return {
        "hprebn": draw.normal(n, h, scale=1.5), "bngain": draw.uniform(0.5, 1.5, 1, h), "bnbias": draw.normal(1, h),
        "weight": draw.normal(n, h),
    }  # fmt: skip


def mlp(tokens, targets, C, W1, b1, bngain, bnbias, W2, b2):
    n = tokens.shape[0]
    emb = C[tokens]
    embcat = emb.view(n, -1)
    hprebn = embcat @ W1 + b1
    bnmeani = hprebn.sum(0, keepdim=True) / n
    bndiff = hprebn - bnmeani
    bndiff2 = bndiff**2
    bnvar = bndiff2.sum(0, keepdim=True) / (n - 1)
    bnvar_inv = (bnvar + 1e-5) ** -0.5
    bnraw = bndiff * bnvar_inv
    hpreact = bngain * bnraw + bnbias
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    logit_maxes = logits.max(1, keepdim=True).values
    norm_logits = logits - logit_maxes
    counts = norm_logits.exp()
    counts_sum = counts.sum(1, keepdim=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = probs.log()
    loss = -logprobs[range(n), targets].mean()

    # Backward
    dlogprobs = torch.zeros_like(logprobs)
    dlogprobs[range(n), targets] = -1.0 / n
    dprobs = dlogprobs / probs
    dcounts_sum_inv = (dprobs * counts).sum(1, keepdim=True)
    dcounts_sum = -(counts_sum**-2) * dcounts_sum_inv
    dcounts = dprobs * counts_sum_inv
    dcounts += dcounts_sum
    dnorm_logits = dcounts * counts
    dlogit_maxes = -dnorm_logits.sum(1, keepdim=True)
    dlogits = dnorm_logits.clone()
    dlogits += F.one_hot(logits.max(1).indices, logits.shape[1]) * dlogit_maxes
    dh = dlogits @ W2.T
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    dhpreact = (1.0 - h**2) * dh
    dbngain = (bnraw * dhpreact).sum(0, keepdim=True)
    dbnbias = dhpreact.sum(0, keepdim=True)
    dbnraw = bngain * dhpreact
    dbnvar_inv = (bndiff * dbnraw).sum(0, keepdim=True)
    dbnvar = -0.5 * (bnvar + 1e-5) ** -1.5 * dbnvar_inv
    dbndiff2 = torch.ones_like(bndiff2) / (n - 1) * dbnvar
    dbndiff = bnvar_inv * dbnraw
    dbndiff += 2.0 * bndiff * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdim=True)
    dhprebn = dbndiff.clone()
    dhprebn += torch.ones_like(hprebn) / n * dbnmeani
    dembcat = dhprebn @ W1.T
    dW1 = embcat.T @ dhprebn
    db1 = dhprebn.sum(0)
    demb = dembcat.view(emb.shape)
    dC = torch.zeros_like(C)
    for k in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            dC[tokens[k, j]] += demb[k, j]
    return locals()


def mlp_fused(tokens, targets, C, W1, b1, bngain, bnbias, W2, b2):
    n = tokens.shape[0]
    emb = C[tokens]
    embcat = emb.view(n, -1)
    hprebn = embcat @ W1 + b1
    bnmean = hprebn.mean(0, keepdim=True)
    bnvar = hprebn.var(0, keepdim=True, unbiased=True)
    bnvar_inv = (bnvar + 1e-5) ** -0.5
    bnraw = (hprebn - bnmean) * bnvar_inv
    hpreact = bngain * bnraw + bnbias
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    loss = F.cross_entropy(logits, targets)

    # Backward
    dlogits = F.softmax(logits, 1)
    dlogits[range(n), targets] -= 1.0
    dlogits = dlogits / n
    dh = dlogits @ W2.T
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    dhpreact = (1.0 - h**2) * dh
    dbngain = (bnraw * dhpreact).sum(0, keepdim=True)
    dbnbias = dhpreact.sum(0, keepdim=True)
    dhprebn = (
        bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))
    )
    dembcat = dhprebn @ W1.T
    dW1 = embcat.T @ dhprebn
    db1 = dhprebn.sum(0)
    demb = dembcat.view(emb.shape)
    dC = torch.zeros_like(C)
    for k in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            dC[tokens[k, j]] += demb[k, j]
    return locals()


def mlp_inputs(draw: Draw) -> dict[str, Tensor]:
    n, v, context, d, h = draw.sizes((6, 8, 3, 2, 5), (7, 9, 2, 4, 6))
    return {
        "tokens": draw.whole(v, n, context), "targets": draw.whole(v, n), "C": draw.normal(v, d),
        "W1": draw.normal(context * d, h, scale=0.5), "b1": draw.normal(h, scale=0.1),
        "bngain": draw.uniform(0.5, 1.5, 1, h), "bnbias": draw.normal(1, h, scale=0.1),
        "W2": draw.normal(h, v, scale=0.5), "b2": draw.normal(v, scale=0.1),
    }  # fmt: skip


SOFTMAX_HINTS = (
    "Each statement of the forward gets one of the backward, in the opposite order.",
    "counts is used twice: in probs itself and in counts_sum. The maxima are used once and were broadcast.",
)

CROSS_ENTROPY = Exercise(
    "cross_entropy", "The lecture's exercise 1, its loss: cross-entropy step by step", cross_entropy, logits_inputs,
    "The loss of the lecture's network, one operation at a time, from the logits to the mean negative "
    "log-likelihood.",
    (*SOFTMAX_HINTS,
     "loss looks at one entry in each row of logprobs and takes their mean: dlogprobs is zero elsewhere.",
     "counts_sum_inv was broadcast along axis 1, so its derivative is a sum along axis 1, with keepdim=True."),
)  # fmt: skip
CROSS_ENTROPY_FUSED = Exercise(
    "cross_entropy_fused", "The lecture's exercise 2: cross-entropy in one formula", cross_entropy_fused,
    logits_inputs,
    "The same loss as one operation. Simplify on paper first: the steps fold into a single short expression.",
    ("Write the loss of one row as log(sum(exp(logits))) - logits[target] and differentiate that.",
     "The derivative of log(sum(exp(logits))) is softmax(logits).",
     "The loss is a mean over the rows."),
)  # fmt: skip
BATCH_NORM_FUSED = Exercise(
    "batch_norm_fused", "The lecture's exercise 3: BatchNorm in one formula", batch_norm_fused, batch_norm_inputs,
    "Batch normalisation in training, its variance divided by n - 1 as in the lecture (Ioffe and Szegedy 2015 "
    "divide by n).",
    ("hprebn reaches hpreact by three ways: as itself, through the mean and through the variance.",
     "The way from the variance through the mean is zero, since the deviations from a mean add up to zero.",
     "Take bngain * bnvar_inv / n out of the three terms; the first is then n * dhpreact."),
)  # fmt: skip
MLP = Exercise(
    "mlp", "The lecture's exercise 1, whole: the MLP with BatchNorm step by step", mlp, mlp_inputs,
    "The lecture's whole network, every intermediate. db1 is zero in theory, for BatchNorm takes out what b1 adds.",
    (*SOFTMAX_HINTS,
     "bndiff is used twice: in bnraw and in bndiff2. hprebn is used twice: in bndiff and in the mean.",
     "A row of C that several tokens use collects the derivatives of all of them."),
)  # fmt: skip
MLP_FUSED = Exercise(
    "mlp_fused", "The lecture's exercise 4: the MLP with its parts fused", mlp_fused, mlp_inputs,
    "The lecture's whole network again, with the short formulas for cross-entropy and BatchNorm.",
    ("Solve cross_entropy_fused and batch_norm_fused first; the rest stands in mlp.",
     "dhpreact is where the two meet: (1 - h**2) * dh."),
)  # fmt: skip
