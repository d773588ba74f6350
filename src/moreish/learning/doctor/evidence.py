"""What was observed of a training, before anybody judges it. Whatever could not be seen is None or empty."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from moreish.learning.vitals import ParameterVitals, SiteVitals


@dataclass(frozen=True)
class Pass:
    """One backward pass. `loss` is what it began from; `nats` the mean negative log-likelihood of its targets, as the
    logits give it, where cross-entropy was seen to be computed; `targets` how many there were.
    """

    step: int
    loss: float
    nats: float | None
    targets: int | None


@dataclass(frozen=True)
class Look:
    """A closer look at one pass.

    `carried` is the share of the gradient in use that was left from before the last change of the parameters.
    `silent` names parameters that no gradient reached.
    """

    step: int
    sites: list[SiteVitals]
    parameters: list[ParameterVitals]
    carried: float
    silent: list[str]


@dataclass(frozen=True)
class Measured:
    """Losses in nats per symbol of the same weights on lines learnt from and on lines held out, at a step."""

    step: int
    train: float | None
    dev: float | None


@dataclass(frozen=True)
class Composition:
    """How the batches were put together.

    `dispersion` is how much more batches differ in their rows' symbols than random ones would: chi-squared over its
    degrees of freedom, about 1 for random ones. `repeated` is the share of batches that had come before, the same rows
    together; None where they are too few to tell.
    """

    dispersion: float | None
    repeated: float | None
    passes: int


@dataclass(frozen=True)
class Lists:
    """What the lines themselves say. Shares from 0 to 1.

    `strange` is by how many nats a symbol dev is harder for a table of pairs counted on half of train than the other
    half is, `strange_error` the standard error of that.
    """

    lines: int
    duplicates: float | None = None
    leaking: float | None = None
    strange: float | None = None
    strange_error: float | None = None
    reference: float | None = None
    """Nats a symbol of that table on the half of train that it did not see: what counting pairs gives."""


@dataclass
class Evidence:
    """All that was seen of one training."""

    symbols: int | None = None
    passes: list[Pass] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    """Parameters that never changed although others did: `requires_grad` is off, or no optimiser has them."""
    fixed: list[str] = field(default_factory=list)
    """Those of them that ask for no gradient."""
    unconnected: list[str] = field(default_factory=list)
    """Parameters that no gradient ever reached."""
    norm_modes: dict[str, list[int]] = field(default_factory=dict)
    """Of BatchNorm: how often "learning" and "evaluating" passes met it in the [wrong, right] mode."""
    norm_rows: int | None = None
    """The fewest rows that a BatchNorm took its statistics from while learning."""
    norm_padding: float | None = None
    """Rows that BatchNorm saw for each target that counted, the mean over learning passes."""
    composition: Composition | None = None
    lists: Lists | None = None
    broken: str = ""
    """What was not finite, and where."""
    broken_at: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    """Widths of the embedding and of the narrowest hidden layer, where they are known."""

    @property
    def unsure(self) -> float | None:
        """ln V."""
        return math.log(self.symbols) if self.symbols else None

    @property
    def first(self) -> Look | None:
        """The look at the first pass, before any step was taken."""
        return self.looks[0] if self.looks and self.looks[0].step == 0 else None

    @property
    def start(self) -> float | None:
        """The loss before the first step, in nats a symbol."""
        return None if not self.passes else self.passes[0].nats

    def losses(self) -> list[float]:
        """The loss of each pass in nats a symbol, as far as it is known and finite."""
        return [p.nats for p in self.passes if p.nats is not None and math.isfinite(p.nats)]

    def smoothed(self) -> list[float]:
        """Means of the losses over twentieths of the training."""
        losses = self.losses()
        size = max(1, len(losses) // 20)
        return [statistics.fmean(losses[i : i + size]) for i in range(0, len(losses) - size + 1, size)]

    def updates(self) -> list[float]:
        """log10 of update:data at each look, the median over matrices: the real change of the parameters."""
        out = []
        for look in self.looks:
            moved = [p.update_to_data for p in look.parameters if p.update_to_data is not None and len(p.shape) > 1]
            if moved:
                out.append(statistics.median(moved))
        return out
