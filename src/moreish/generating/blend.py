"""Two trained models as one: what is needed to draw from their blend, to judge its lines, and to say what it costs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from moreish.errors import AlphabetError, UsageError
from moreish.generating.sample import Sample, sample
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Recipe, Trained
from moreish.learning.score import score
from moreish.models.blend import Blend, check_weight, union
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.hashing import first_occurrences, line_hashes
from moreish.text.lines import Lines


@dataclass(frozen=True)
class Blended(Trained):
    """A blend of two trained models, `parts`, as a trained model itself. It is made anew each time, never saved."""

    parts: tuple[Trained, Trained] = ()  # type: ignore[assignment]

    @property
    def weight(self) -> float:
        """The second one's share."""
        return self.model.config.weight


@dataclass(frozen=True)
class BlendedSample(Sample):
    """What a request for lines of a blend gave.

    `nats_a` and `nats_b` are each line's nats under each of the two models: None where it lacks a symbol of the line,
    infinite where it finds the line impossible.
    """

    nats_a: list[float | None] = field(default_factory=list)
    nats_b: list[float | None] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; null also where a line is impossible under a model."""
        found = super().to_dict()
        for line, a, b in zip(found["lines"], self.nats_a, self.nats_b):
            line["nats_a"], line["nats_b"] = (
                nats if nats is not None and math.isfinite(nats) else None for nats in (a, b)
            )
        return found


@dataclass(frozen=True)
class HeldOutLosses:
    """Nats per symbol of lines that neither model learnt: those of one run's dev part.

    `a`, `b` and `blend` are infinite where a model finds one of them impossible, for one because it lacks a symbol.
    """

    run: str
    lines: int
    symbols: int
    a: float
    b: float
    blend: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which knows no infinity: null stands for it."""
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}


def blend(a: Trained, b: Trained, weight: float = 0.3) -> Blended:
    """A model that follows two others at once: (1 - weight) P_a + weight P_b at each place of a line.

    Its alphabet is the union of theirs, and its list too: *new* is what neither list has. A line is in dev or test only
    where neither model learnt it. It is no run, and cannot be saved: blend two runs again.

    Args:
        weight: b's share, from 0 to 1.

    Raises:
        UsageError: a weight that means nothing, symbols of different kinds, or models on different devices.
    """
    check_weight(weight)
    model = Blend(a.model, b.model, a.alphabet, b.alphabet, weight).eval()
    alphabet = union(a.alphabet, b.alphabet)
    hashes = None
    if a.hashes is not None or b.hashes is not None:
        hashes = np.concatenate([_hashes_of(a), _hashes_of(b)])
    corpus = _both(a, b, alphabet, listed=hashes is None)
    recipe = Recipe(
        "blend", {"weight": weight}, method="blending", split=corpus.split, symbols=alphabet.kind,
        why=f"{1 - weight:g} of {a.recipe.model}, {weight:g} of {b.recipe.model}",
    )  # fmt: skip
    return Blended(model, alphabet, corpus, recipe, "", hashes, max(a.longest, b.longest), parts=(a, b))


def sample_blend(blended: Blended, count: int = 20, **request: Any) -> BlendedSample:
    """`sample`, each line scored under the two models too.

    Args:
        request: what `sample` takes.
    """
    found = sample(blended, count, **request)
    texts, cut = [line.text for line in found.lines], [line.cut for line in found.lines]
    nats_a, nats_b = (_nats_under(part, texts, cut) for part in blended.parts)
    whole = {x.name: getattr(found, x.name) for x in fields(found)}
    return BlendedSample(**whole, nats_a=nats_a, nats_b=nats_b)


def held_out_losses(blended: Blended) -> list[HeldOutLosses]:
    """What each run's dev lines cost under each of the two models and under the blend; one row where they are the same.

    Raises:
        UsageError: neither run holds out lines that the other did not learn.
    """
    rows: list[HeldOutLosses] = []
    learnt = np.concatenate(
        [_hashes_of(part) if part.hashes is not None else line_hashes(part.corpus.train) for part in blended.parts]
    )
    seen: list[Lines] = []
    for part in blended.parts:
        dev = part.corpus.dev
        dev = dev.take(np.flatnonzero(~np.isin(line_hashes(dev), learnt)))
        if not len(dev) or dev in seen:
            continue
        seen.append(dev)
        nats, sizes = line_nats(blended.model, blended.alphabet, dev)
        symbols = int(sizes.sum())
        a, b = (_loss_under(each, dev, symbols) for each in blended.parts)
        name = part.run or part.corpus.name
        rows.append(HeldOutLosses(name, len(dev), symbols, a, b, float(nats.sum()) / symbols))
    if not rows:
        raise UsageError(
            "neither run holds out lines that both have not learnt, so there is nothing to measure losses on. "
            "Train them on lists of at least 200 lines, with --split unique, and keep the list."
        )
    return rows


def _both(a: Trained, b: Trained, alphabet: Alphabet, listed: bool) -> Corpus:
    """The two lists as one, each line once: held out is what neither learnt. Empty where one kept only hashes."""
    one, other = a.corpus, b.corpus
    same = one.name == other.name
    name = one.name if same else f"{one.name} and {other.name}"
    fingerprint = one.fingerprint if one.fingerprint == other.fingerprint else ""
    nothing = Lines(np.zeros(0, np.uint8))
    train, dev, test = ([x.data for x in parts] for parts in zip(*((c.train, c.dev, c.test) for c in (one, other))))
    if not listed:
        return Corpus(name, nothing, nothing, nothing, alphabet, fingerprint)
    whole = Lines(np.concatenate([*train, *dev, *test]))
    ends = np.cumsum([sum(len(Lines(data)) for data in part) for part in (train, dev, test)])
    first = first_occurrences(line_hashes(whole))
    held = [whole.take(first[(first >= low) & (first < high)]) for low, high in zip([0, *ends], ends)]
    elsewhere = one.elsewhere or other.elsewhere
    if not len(held[1]):  # nothing is held out that says anything of both
        return Corpus(name, whole.take(first), nothing, nothing, alphabet, fingerprint, "none", elsewhere=elsewhere)
    return Corpus(name, held[0], held[1], held[2], alphabet, fingerprint, elsewhere=elsewhere)


def _hashes_of(trained: Trained) -> np.ndarray:
    return trained.hashes if trained.hashes is not None else line_hashes(trained.corpus.lines)


def _readable(alphabet: Alphabet, lines: Lines) -> np.ndarray:
    """Which lines hold only symbols of an alphabet: bool [lines]."""
    try:
        alphabet.encode_lines(lines)
        return np.ones(len(lines), bool)
    except AlphabetError:
        return np.array([_reads(alphabet, text) for text in lines], bool)


def _reads(alphabet: Alphabet, text: str) -> bool:
    try:
        alphabet.encode(text)
    except AlphabetError:
        return False
    return True


def _nats_under(part: Trained, texts: list[str], cut: list[bool]) -> list[float | None]:
    """Each line's nats, None where the model lacks a symbol; those of a cut line without an end."""
    lines = Lines.of(texts)
    can = np.flatnonzero(_readable(part.alphabet, lines)).tolist()
    out: list[float | None] = [None] * len(texts)
    if can:
        nats, _ = line_nats(part.model, part.alphabet, lines.take(np.array(can)))
        for i, each in zip(can, nats.tolist()):
            out[i] = math.fsum(n for _, n in score(part, texts[i])[0].symbols[:-1]) if cut[i] else each
    return out


def _loss_under(part: Trained, lines: Lines, symbols: int) -> float:
    if not _readable(part.alphabet, lines).all():
        return math.inf
    return float(line_nats(part.model, part.alphabet, lines)[0].sum()) / symbols
