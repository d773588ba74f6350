"""What steering a sampler does: for each temperature and each typicality the entropy of what is drawn, and its novelty.

Entropy is that of the distributions that symbols were drawn from, at the places that the drawn lines came by; beside it
stands what the lines cost under the model as it is. At temperature 1 the two are estimates of one number, for a
sample's surprisal is its distribution's entropy on average. Lower, lines become likelier, less varied and sooner copies
(Caccia et al. 2020, Language GANs Falling Short, sweep the temperature likewise).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from moreish.errors import UsageError
from moreish.generating.draws import adjust, check_settings
from moreish.generating.sample import check_request, held_out_near_rate, sample
from moreish.learning.evaluate import CELLS_AT_ONCE, line_nats
from moreish.learning.recipe import Trained
from moreish.models.model import LanguageModel, device_of
from moreish.randomness import stream_seed
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

TEMPERATURES, TYPICAL = (0.6, 0.8, 1.0, 1.2), (0.9, 0.5)
DRAWN = 2_000
"""Lines for each setting: a share of so many is known to two percent."""
MOST_SETTINGS = 50


@dataclass(frozen=True)
class Steered:
    """What came of one setting, or of real lines, for which `temperature` and `typical` are None.

    `entropy_bits`: mean entropy, in bits, of the distributions at the places that the lines come by. `nats_per_symbol`:
    what the lines cost under the model as it is, their ends included; infinite where real lines are impossible to it.
    `new` with its 95 % interval `new_low` to `new_high`: the share that is not among the run's lines, train, dev and
    test alike. `near`: of the new ones the share that is one edit from a line of the list. `distinct`: the share of
    different lines among all. `cut`: had not ended at the maximum length. `mean_length` is in symbols. None: unknown,
    for the run kept no list, or no line was drawn.
    """

    temperature: float | None
    typical: float | None
    lines: int
    entropy_bits: float | None
    nats_per_symbol: float | None
    new: float | None
    new_low: float | None
    new_high: float | None
    near: float | None
    distinct: float | None
    cut: float | None
    mean_length: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: null stands for it."""
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Steering:
    """What `moreish steer` shows: a row for each setting, and one for real lines that the model never saw, or None."""

    run: str
    model: str
    seed: int
    count: int
    settings: list[Steered]
    held_out: Steered | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        held_out = None if self.held_out is None else self.held_out.to_dict()
        rows = [row.to_dict() for row in self.settings]
        return {**asdict(self), "settings": rows, "held_out": held_out}


@dataclass(frozen=True)
class Progress:
    """How many settings are done, of all."""

    done: int
    total: int


def steer(
    trained: Trained,
    temperatures: Sequence[float] = TEMPERATURES,
    typical: Sequence[float] = TYPICAL,
    *,
    count: int = DRAWN,
    seed: int = 0,
) -> Steering:
    """Draw lines at each temperature, then at each typicality with temperature 1, and measure what came.

    Args:
        temperatures, typical: as `sample` takes them.
        count: lines drawn at each setting.
        seed: decides the lines; each setting draws with the same.

    Raises:
        UsageError: a setting that means nothing, none at all, one twice, or more than 50.
    """
    for event in steered(trained, temperatures, typical, count=count, seed=seed):
        if isinstance(event, Steering):
            return event
    raise AssertionError("steering ends in what was found")


def steered(
    trained: Trained, temperatures: Sequence[float], typical: Sequence[float], *, count: int = DRAWN, seed: int = 0
) -> Iterator[Progress | Steering]:
    """The same, telling how far it is."""
    settings = check_steering(temperatures, typical, count, seed)
    rows = []
    for i, (temperature, tau) in enumerate(settings):
        yield Progress(i, len(settings))
        rows.append(_drawn(trained, temperature, tau, count, seed))
    yield Steering(trained.run, trained.recipe.model, seed, count, rows, _held_out(trained, count))


def check_steering(
    temperatures: Sequence[float], typical: Sequence[float], count: int = DRAWN, seed: int = 0
) -> list[tuple[float, float | None]]:
    """The settings asked for, as (temperature, typical); refuses those that mean nothing, before anything is drawn.

    Raises:
        UsageError
    """
    check_request(count)
    stream_seed(seed, "sampling")
    settings = [*((each, None) for each in temperatures), *((1.0, tau) for tau in typical)]
    for temperature, tau in settings:
        check_settings(temperature, typical=tau)
    if not 0 < len(settings) <= MOST_SETTINGS:
        raise UsageError(
            f"{len(settings)} settings cannot be compared. Give 1 to {MOST_SETTINGS} temperatures and typicalities."
        )
    for i, setting in enumerate(settings):
        if setting in settings[:i]:
            name, value = ("temperature", setting[0]) if setting[1] is None else ("typical", setting[1])
            raise UsageError(f"{name} {value:g} is given twice. Give each once.")
    return settings


def _drawn(trained: Trained, temperature: float, typical: float | None, count: int, seed: int) -> Steered:
    made = sample(trained, count, temperature=temperature, typical=typical, seed=seed)
    rates = made.novelty
    if not made.lines:
        return Steered(temperature, typical, 0, *[None] * 9)
    texts = [line.text for line in made.lines]
    cut = np.array([line.cut for line in made.lines])
    bits, places = entropy_bits(trained.model, trained.alphabet, Lines.of(texts), temperature, typical)
    return Steered(
        temperature=temperature,
        typical=typical,
        lines=len(texts),
        entropy_bits=bits,
        nats_per_symbol=math.fsum(line.nats for line in made.lines) / (places - int(cut.sum())),
        new=rates.rate,
        new_low=rates.low,
        new_high=rates.high,
        near=rates.near_rate,
        distinct=len(set(texts)) / len(texts),
        cut=float(cut.mean()),
        mean_length=places / len(texts) - 1,
    )


def _held_out(trained: Trained, count: int) -> Steered | None:
    """The same of real lines that the model never saw, as many at most. They are in the list, so none is new."""
    corpus = trained.corpus
    dev = corpus.dev
    unseen = dev.take(np.flatnonzero(~np.isin(line_hashes(dev), line_hashes(corpus.train))))[:count]
    if not len(unseen):
        return None
    bits, places = entropy_bits(trained.model, trained.alphabet, unseen)
    nats, _ = line_nats(trained.model, trained.alphabet, unseen)
    texts = unseen.texts()
    return Steered(
        temperature=None,
        typical=None,
        lines=len(texts),
        entropy_bits=bits,
        nats_per_symbol=float(nats.sum()) / places,
        new=None,
        new_low=None,
        new_high=None,
        near=trained.once("held_out_near_rate", lambda: held_out_near_rate(trained)),
        distinct=len(set(texts)) / len(texts),
        cut=0.0,
        mean_length=places / len(texts) - 1,
    )


@torch.no_grad()
def entropy_bits(
    model: LanguageModel[Any],
    alphabet: Alphabet,
    lines: Lines,
    temperature: float = 1.0,
    typical: float | None = None,
) -> tuple[float, int]:
    """Mean entropy of what is drawn from at each place of some lines: before every symbol, and after the last.

    Returns: bits, and how many places there are.
    """
    model.eval()
    ids = torch.from_numpy(alphabet.encode_lines(lines)[:-1].astype(np.int64)).to(device_of(model))
    starts = (ids == BOUNDARY).nonzero()[:, 0]
    lengths = torch.diff(starts, append=starts.new_tensor([len(ids)]))
    total, at, tokens = 0.0, 0, max(1, CELLS_AT_ONCE // len(alphabet))
    while at < len(lengths):  # as many whole lines as make `tokens`, one at least
        within = int(torch.searchsorted(lengths[at:].cumsum(0), tokens, right=True))
        end = at + max(1, within)
        first, size = int(starts[at]), int(lengths[at:end].sum())
        logits = model.read_lines(ids[first : first + size], lengths[at:end])
        probs = adjust(logits.double().log_softmax(-1), temperature, typical=typical)
        total += float(torch.special.entr(probs).sum())
        at = end
    return total / len(ids) / math.log(2), len(ids)
