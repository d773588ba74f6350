"""Lines under conditions from models that remember a whole line, by sequential Monte Carlo.

Such a model cannot be written out, so what lies ahead is not known: a count model of the same list, which can be, is
asked instead. Each symbol is drawn in proportion to the model's probability times what the count model sees ahead
after it, and a weight keeps what that gets wrong; where weights have become too unequal, lines are drawn anew by their
weights. No line ever breaks a condition, and the mean weight is an unbiased estimate of the condition's probability:
Doucet and Johansen 2009, A tutorial on particle filtering and smoothing, section 4, with the twisted target of Whiteley
and Lee 2014, Twisted particle filters; for language models Lew et al. 2023, Sequential Monte Carlo steering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.generating.draws import CELLS_AT_ONCE, PLAIN, How, adjust
from moreish.generating.paths import Ahead
from moreish.generating.sampler import Drawn
from moreish.models.model import LanguageModel, device_of, select
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet

PARTICLES = 512
"""Lines that are drawn side by side, and whose weights give one estimate."""
UNEQUAL = 0.5
"""Lines are drawn anew where their effective number, 1 / sum of squared weights, is below this share of them."""


@dataclass(frozen=True)
class Flock:
    """What one run gives: as many lines as there were particles, each as likely as the others to be one that is meant,
    and the logarithm of an unbiased estimate of the condition's probability. Without lines where all had to be given
    up: the model gives them no probability."""

    drawn: Drawn
    log_estimate: float


class Particles:
    """Runs of sequential Monte Carlo; `ahead` is what a count model over the same alphabet sees ahead."""

    def __init__(self, model: LanguageModel[Any], alphabet: Alphabet, ahead: Ahead, how: How):
        self.model, self.alphabet, self.ahead, self.how = model, alphabet, ahead, how
        self.count = max(1, min(PARTICLES, CELLS_AT_ONCE // int(model.config.symbols)))

    @torch.no_grad()
    def run(self, generator: torch.Generator) -> Flock:
        """One flock of lines, from its beginning."""
        self.model.eval()
        paths, count = self.ahead.paths, self.count
        read, device = self.model.reader(), device_of(self.model)
        ids = torch.zeros(count, paths.high, dtype=torch.int32)
        size = torch.zeros(count, dtype=torch.long)
        nats, own = torch.zeros(2, count, dtype=torch.float64)
        pair = torch.zeros(count, dtype=torch.long)
        weight = torch.full((count,), self.ahead.log_total, dtype=torch.float64)
        going = torch.arange(count)  # the lines that have not ended; row i of the state is that of going[i]
        state = self.model.begin(count)
        last = torch.full((count,), BOUNDARY, dtype=torch.long)
        gained = 0.0
        for left in range(paths.high, -1, -1):
            with torch.inference_mode():
                logits, state = read(last[:, None].to(device), state)
                log_probs = torch.log_softmax(logits[:, 0].double(), -1).cpu()
            drawing = log_probs if self.how == PLAIN else adjust(log_probs, *self.how).log()
            share, after = self.ahead.share(pair[going], left)
            wanted = share.mul_(drawing.exp())
            total = wanted.sum(1)
            alive = total > 0
            weight[going] += total.log()
            symbols = torch.zeros(len(going), 1, dtype=torch.long)
            symbols[alive] = torch.multinomial(wanted[alive], 1, generator=generator)
            chosen = symbols[:, 0]
            nats[going] -= log_probs.gather(1, symbols)[:, 0]
            own[going] -= drawing.gather(1, symbols)[:, 0]
            pair[going] = after.gather(1, symbols)[:, 0].long()
            kept = alive & (chosen != BOUNDARY)
            ids[going[kept], size[going[kept]]] = chosen[kept].int()
            size[going[kept]] += 1
            rows = torch.full((count,), -1)
            rows[going[kept]] = kept.nonzero()[:, 0]
            if _effective(weight) < UNEQUAL * count:
                if not bool(torch.isfinite(weight).any()):
                    return Flock(Drawn([], np.zeros(0), np.zeros(0, bool), np.zeros(0)), -math.inf)
                gained += float(torch.logsumexp(weight, 0)) - math.log(count)
                chosen_lines = _systematic(weight, generator)
                ids, size, nats, own, pair, rows = (
                    x.index_select(0, chosen_lines) for x in (ids, size, nats, own, pair, rows)
                )
                weight = torch.zeros(count, dtype=torch.float64)
            going = (rows >= 0).nonzero()[:, 0]
            if not len(going):
                break
            state = select(state, rows[going].to(device))
            last = ids[going, size[going] - 1].long()
        gained += float(torch.logsumexp(weight, 0)) - math.log(count)
        final = _systematic(weight, generator)
        final = final[torch.randperm(count, generator=generator)]  # those drawn alike would stand side by side
        texts = self.alphabet.decode_rows(ids[final].numpy(), size[final].numpy())
        cut = np.zeros(count, bool)
        return Flock(Drawn(texts, nats[final].numpy(), cut, own[final].numpy()), gained)


def _effective(weight: Float[Tensor, " K"]) -> float:
    """The effective number of lines of these weights, given by their logarithms."""
    shares = torch.softmax(weight, 0)
    effective = float(1 / shares.square().sum())
    return effective if math.isfinite(effective) else 0.0


def _systematic(weight: Float[Tensor, " K"], generator: torch.Generator) -> Int[Tensor, " K"]:
    """As many lines as there are, each expected as often as its weight says: systematic resampling."""
    bounds = torch.softmax(weight, 0).cumsum(0)
    count = len(weight)
    at = (torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    return torch.searchsorted(bounds, at.mul_(bounds[-1]).clamp_(max=float(bounds[-1]) * (1 - 2**-52)), right=True)
