"""How well a model predicts: negative log-likelihood, and two figures that keep it honest on a split by unique item.

On such a split no held-out line is a training line, so a model that merely withholds its mass from the known lines
gains. `copy_mass` is how much it spends on them; `nats_given_new` is what is left of the loss when every model has
that mass taken out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from moreish.errors import MoreishError
from moreish.learning.recipe import Trained
from moreish.learning.steps import fit_lines
from moreish.models.model import LanguageModel, device_of
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

CELLS_AT_ONCE = 1 << 22
"""Logits held at a time."""
LIGHTLY = 5_000
"""Lines that are looked at while learning: whatever part, its lines stand in shuffled order."""
FOLDS_OF_NETWORKS = 3
"""Folds that a network learns, each from the start; counts are quick enough for all."""
POSITIONS_AT_ONCE = 1 << 17
"""Positions held at a time for a model that looks its figures up: what fits a processor's cache."""


@dataclass(frozen=True)
class Evaluation:
    """What `moreish evaluate` prints. Losses are per predicted symbol, the end of the line included.

    `nats_per_symbol` is infinite (null in JSON) where a model without smoothing met what it never saw;
    `nats_given_new` is None where every line is a training line.
    """

    model: str
    part: str
    split: str
    leaks: bool
    nats_per_symbol: float
    bits_per_symbol: float
    perplexity: float
    lines: int
    symbols: int
    parameters: int
    copy_mass: float | None
    nats_given_new: float | None
    new_lines: int
    folds: int
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: null stands for it."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }


@torch.no_grad()
def line_nats(model: LanguageModel[Any], alphabet: Alphabet, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Each line's negative log-likelihood and how many symbols it predicts.

    Returns: nats float64 [lines], symbols int64 [lines] (the end of the line counted).

    Raises:
        AlphabetError: a line holds a symbol that the alphabet lacks.
    """
    model.eval()
    device = device_of(model)
    stream = alphabet.encode_lines(lines)
    starts = np.flatnonzero(stream == BOUNDARY)  # of each line, and the end of the last
    sizes = np.diff(starts)
    out = np.zeros(len(sizes))
    looks_up = model.fitted_by_counting and next(model.parameters(), None) is None
    at_once = POSITIONS_AT_ONCE if looks_up else max(1, CELLS_AT_ONCE // max(len(alphabet), 512))
    for rows, tokens, targets in _batches(stream, starts[:-1], sizes, at_once):
        nats = model.target_nats(tokens.to(device), targets.to(device), model.begin(len(tokens)))
        inside = torch.arange(nats.shape[1])[None] < torch.from_numpy(sizes[rows])[:, None]
        out[rows] = torch.where(inside, nats.cpu(), 0.0).sum(1, dtype=torch.float64).numpy()
    return out, sizes


def _batches(
    stream: np.ndarray, starts: np.ndarray, sizes: np.ndarray, positions: int
) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
    """Lines of like length side by side: (which lines, tokens [B T], targets [B T]), filled up with boundaries."""
    order = np.argsort(sizes, kind="stable")
    at = 0
    padded = np.concatenate([stream, np.zeros(int(sizes.max(initial=0)) + 1, stream.dtype)])
    while at < len(order):
        rows = order[at : at + max(1, positions // int(sizes[order[at]]))]
        longest = int(sizes[rows[-1]])
        while len(rows) > 1 and len(rows) * longest > 2 * positions:
            rows = rows[: len(rows) // 2]
            longest = int(sizes[rows[-1]])
        at += len(rows)
        seen = padded[starts[rows][:, None] + np.arange(longest + 1)].astype(np.int64)
        seen[np.arange(longest + 1) > sizes[rows][:, None]] = BOUNDARY
        whole = torch.from_numpy(seen)
        yield rows, whole[:, :-1], whole[:, 1:]


def copy_mass(model: LanguageModel[Any], alphabet: Alphabet, unique_train: Lines) -> float:
    """The probability that the model gives to the unique training lines together: an exact sum."""
    nats, _ = line_nats(model, alphabet, unique_train)
    return float(np.exp(-nats).sum())


def evaluate(trained: Trained, part: str = "dev", *, lightly: bool = False) -> Evaluation:
    """The loss on a part of the list, or over k folds where the list is too short to hold any of it out.

    Args:
        lightly: the loss alone, of the first 5,000 lines, as while learning; `copy_mass` and `nats_given_new` are None.

    Raises:
        UsageError: the split has no such part.
        MoreishError: the list has one unique line, so no figure means anything; or the run kept no lines.
    """
    corpus = trained.corpus
    if trained.hashes is not None:
        raise MoreishError(
            f"this run kept only hashes of {corpus.name}, so nothing can be evaluated. Its loss at training stands in "
            f"`moreish show`; for more, train again without --no-keep-list."
        )
    if corpus.kfold and part == "dev":
        return _over_folds(trained)
    lines = corpus.part(part)
    named = "train" if corpus.split == "none" else part
    if lightly:
        nats, sizes = line_nats(trained.model, trained.alphabet, lines[:LIGHTLY])
        return _summary(trained, named, nats, sizes, np.zeros(len(nats), bool), None, 0)
    unique = corpus.unique_train
    known = line_hashes(unique)
    nats, sizes = line_nats(trained.model, trained.alphabet, lines)
    mass = copy_mass(trained.model, trained.alphabet, unique)
    new = ~np.isin(line_hashes(lines), known)
    return _summary(trained, named, nats, sizes, new, mass, 0)


def held_out_loss(trained: Trained) -> float:
    """Nats per symbol on dev, or over the folds: for choosing, where nothing else is asked."""
    if trained.corpus.kfold:
        return _over_folds(trained).nats_per_symbol
    nats, sizes = line_nats(trained.model, trained.alphabet, trained.corpus.part("dev"))
    return float(nats.sum() / sizes.sum())


def _over_folds(trained: Trained) -> Evaluation:
    folds = trained.corpus.folds()
    if trained.recipe.method == "minibatches":
        folds = folds[:FOLDS_OF_NETWORKS]
    if not folds:
        raise MoreishError(
            f"{trained.corpus.name} has one unique line, so there is nothing to hold out and no figure is given. "
            f"Sampling works; add lines for a figure."
        )
    nats, sizes, given_new = [], [], []
    masses = []
    for learnt, held_out in folds:
        model = fit_lines(trained.recipe, learnt, trained.alphabet)
        fold_nats, fold_sizes = line_nats(model, trained.alphabet, held_out)
        masses.append(copy_mass(model, trained.alphabet, learnt))
        nats.append(fold_nats)
        sizes.append(fold_sizes)
        given_new.append(as_new(fold_nats, masses[-1]))
    whole = np.concatenate(nats)
    result = _summary(trained, "kfold", whole, np.concatenate(sizes), np.ones(len(whole), bool), 0.0, len(folds))
    new_nats = float(np.concatenate(given_new).sum() / np.concatenate(sizes).sum())
    return Evaluation(**{**asdict(result), "copy_mass": float(np.mean(masses)), "nats_given_new": new_nats})


def _summary(
    trained: Trained,
    part: str,
    nats: np.ndarray,
    sizes: np.ndarray,
    new: np.ndarray,
    mass: float | None,
    folds: int,
) -> Evaluation:
    mean = float(nats.sum() / sizes.sum())
    new_symbols = int(sizes[new].sum())
    given_new = None
    if new_symbols and mass is not None:
        given_new = float(as_new(nats[new], mass).sum() / new_symbols)
    return Evaluation(
        model=trained.recipe.model,
        part=part,
        split=trained.corpus.split,
        leaks=trained.corpus.leaks,
        nats_per_symbol=mean,
        bits_per_symbol=mean / math.log(2),
        perplexity=math.exp(mean) if mean < 700 else math.inf,
        lines=len(nats),
        symbols=int(sizes.sum()),
        parameters=trained.parameters,
        copy_mass=mass,
        nats_given_new=given_new,
        new_lines=int(new.sum()),
        folds=folds,
        note=trained.corpus.note,
    )


def as_new(nats: np.ndarray, mass: float) -> np.ndarray:
    """Nats of lines given that they are new, P(line) / (1 - mass); no rounding makes them negative."""
    left = math.log1p(-mass) if mass < 1 else -math.inf
    if left == -math.inf:  # nothing is left for new lines: whatever they are, they cannot be
        return np.full_like(nats, math.inf)
    return np.where(np.isinf(nats), nats, np.maximum(nats + left, 0.0))
