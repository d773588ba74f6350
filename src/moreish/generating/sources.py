"""Where lines come from under conditions: exactly, where a model can be written out; else by sequential Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from moreish.errors import Impossible
from moreish.explaining.seeds import over_seeds
from moreish.generating.chain import Chain, chain_of, fits
from moreish.generating.constraints import Compiled, Conditions, compile_conditions
from moreish.generating.draws import PLAIN, Draw, How, make_draw
from moreish.generating.exact import ExactDraw
from moreish.generating.listed import Listed
from moreish.generating.particles import Particles
from moreish.generating.paths import Ahead, Paths, TooLarge, find_paths
from moreish.generating.sampler import Drawn, draw_lines, prefix_nats, symbols_of
from moreish.generating.source import COUNTED, WITHOUT_REPLACEMENT, Probability, Source, new_ones
from moreish.generating.without_replacement import draw_distinct, draw_distinct_from
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import Recipe, Trained
from moreish.learning.steps import fit_lines
from moreish.randomness import stream
from moreish.shapes import BOUNDARY
from moreish.text.alphabet import Alphabet
from moreish.text.lines import Lines
from moreish.text.vowels import find_vowels

LOOKED_AHEAD = (5, 4, 3, 2, 1)
"""Orders of the count model that looks ahead: the first whose tables are small enough."""
AHEAD_CELLS = 1 << 23
LISTED = 4_096
"""Lines that meet the conditions, up to which a network scores each, or new ones are told apart, one by one."""
FLOCKS = 16
"""Runs of sequential Monte Carlo that are mixed, and from whose estimates the interval comes."""


class Free(Source):
    """As the model has it, after a prefix perhaps: nothing is to be looked ahead for."""

    def __init__(self, trained: Trained, draw: Draw, prefix: str, max_length: int, how: How):
        self.trained, self.draw, self.prefix, self.max_length = trained, draw, prefix, max_length
        self.how, self.is_tempered = how, how != PLAIN
        self.begins = 1.0
        if symbols_of(prefix, trained.alphabet, max_length):
            log = -prefix_nats(trained.model, trained.alphabet, prefix)  # whose exponential may round to nothing
            self.begins = math.exp(log)
            self.probability = None if self.is_tempered else Probability(log)

    def batches(self, seed: int, at_once: int) -> Iterator[Drawn]:
        for drawn in draw_lines(
            self.trained.model, self.trained.alphabet, draw=self.draw, prefix=self.prefix,
            max_length=self.max_length, seed=seed, at_once=at_once,
        ):  # fmt: skip
            yield drawn if self.is_tempered else replace(drawn, own=drawn.nats)

    def distinct(self, count: int, seed: int) -> Drawn:
        model, alphabet = self.trained.model, self.trained.alphabet
        found = draw_distinct_from(
            model, alphabet, count, self.max_length, stream(seed, WITHOUT_REPLACEMENT), self.how, self.prefix
        )
        return Drawn(found.texts, found.nats, found.cut, None if self.is_tempered else found.nats)

    def without(self, known: Trained) -> Probability | None:
        if self.is_tempered or known.hashes is not None or not known.model.fitted_by_counting:
            return None  # unknown, or an hour's work for a network and a long list
        if next(known.model.parameters(), None) is not None:
            return None  # a blend with a network
        left = self.begins - known.once("copies after a prefix", lambda: self._copies(known), self.prefix)
        return Probability(math.log(left) if left > 0 else -math.inf)

    def _copies(self, known: Trained) -> float:
        """The probability of the list's lines with this prefix; of the empty line too, which is never kept."""
        lines = known.corpus.lines
        texts = set(lines.take(np.flatnonzero(begin_with(self.prefix, known.alphabet, lines))).texts())
        nats, _ = line_nats(known.model, known.alphabet, Lines.of([*sorted(texts), *([""] if not self.prefix else [])]))
        return float(np.exp(-nats).sum())


class Exact(Source):
    """Every line with its exact probability given the conditions."""

    def __init__(
        self, trained: Trained, conditions: Conditions, compiled: Compiled, paths: Paths, how: How, bounded: bool
    ):
        self.trained, self.compiled, self.paths = trained, compiled, paths
        self.settings = (conditions, compiled.high, how)
        self.is_tempered = how != PLAIN
        log = paths.sums.log_total
        if log == -math.inf:
            raise Impossible(
                f"this model gives no line like that any probability: {', '.join(compiled.parts)}. It has no "
                f"smoothing, or a setting of sampling leaves it none. Loosen one, or train with --smoothing kneser-ney."
            )
        self.probability = Probability(log)
        self.beyond = None if bounded else paths.beyond

    def batches(self, seed: int, at_once: int) -> Iterator[Drawn]:
        draw = ExactDraw(self.paths)
        alphabet, chain = self.trained.alphabet, self.paths.chain
        for drawn in draw_lines(
            self.trained.model, alphabet, draw=draw, max_length=self.compiled.high, seed=seed, at_once=at_once
        ):
            own = chain.score(alphabet.encode_texts(drawn.texts)).numpy() if self.is_tempered else drawn.nats
            yield Drawn(drawn.texts, drawn.nats, drawn.cut, own)

    def distinct(self, count: int, seed: int) -> Drawn:
        assert self.probability is not None
        found = draw_distinct(self.paths, self.trained.alphabet, count, stream(seed, WITHOUT_REPLACEMENT))
        return Drawn(found.texts, found.nats, found.cut, -found.log_probs - self.probability.log)

    def without(self, known: Trained) -> Probability | None:
        if known.hashes is not None:
            return None
        assert self.probability is not None
        left = self.probability.value - self._known(known)[0]
        return Probability(math.log(left) if left > 0 else -math.inf)

    def possible(self, known: Trained, new_only: bool) -> int | None:
        everything_possible = bool(torch.isfinite(self.paths.chain.log_probs).all())
        lines = self.compiled.lines if everything_possible else self.paths.lines
        if lines > COUNTED:
            return None
        return new_ones(lines, self._known(known)[1] if new_only and known.hashes is None else 0)

    def _known(self, known: Trained) -> tuple[float, int]:
        return known.once("known mass", lambda: known_mass(self.paths.chain, self.compiled, known), self.settings)


class Estimated(Source):
    """From a model that remembers too much to be written out. Lines never break a condition; the probability, an
    estimate, is known from the first batch on."""

    exact = False

    def __init__(
        self, trained: Trained, compiled: Compiled, particles: Particles,
        is_new: Callable[[list[str]], np.ndarray] | None,
    ):  # fmt: skip
        self.trained, self.compiled, self.particles, self.is_new = trained, compiled, particles, is_new

    def batches(self, seed: int, at_once: int) -> Iterator[Drawn]:
        generator = stream(seed, "sampling under conditions")
        estimates: list[float] = []
        while True:
            flocks = [self.particles.run(generator) for _ in range(FLOCKS)]
            estimates += [self._estimate(flock.drawn.texts, flock.log_estimate) for flock in flocks]
            self.probability = _mean(estimates)
            whole = [flock for flock in flocks if flock.drawn.texts]
            if not whole:
                return
            logs = np.array([flock.log_estimate for flock in whole])
            shares = np.exp(logs - logs.max())
            yield _mixed([flock.drawn for flock in whole], shares / shares.sum(), generator)

    def possible(self, known: Trained, new_only: bool) -> int | None:
        temperature, *cutoffs = self.particles.how
        if self.compiled.lines > COUNTED or self.trained.model.fitted_by_counting or not temperature or any(cutoffs):
            return None  # too many, or some may have no probability
        in_list = len(_met(self.compiled, known)) if new_only and known.hashes is None else 0
        return new_ones(self.compiled.lines, in_list)

    def _estimate(self, texts: list[str], log: float) -> float:
        if self.is_new is None or not texts:
            return log
        new = float(self.is_new(texts).mean())
        return log + math.log(new) if new else -math.inf


def source_of(
    trained: Trained, conditions: Conditions, how: How, max_length: int,
    is_new: Callable[[list[str]], np.ndarray] | None = None,
) -> Source:  # fmt: skip
    """The best source there is for lines like that.

    Args:
        is_new: where only new lines are wanted, tells which of some lines are.

    Raises:
        Impossible: no line is like that, or none that the model gives any probability.
        UsageError, AlphabetError: a condition that cannot be read or needs too many states.
    """
    if not conditions or conditions.only_prefix:
        draw = trained.once("draw", lambda: make_draw(trained.model, *how), settings=how)
        return Free(trained, draw, conditions.prefix, max_length, how)
    compiled = compile_for(trained, conditions, max_length)
    paths_serve = fits(trained.model) and is_new is None
    if how == PLAIN and compiled.lines <= LISTED and not paths_serve and trained.alphabet.kind != "graphemes":
        return Listed(trained, compiled, is_new)
    paths = paths_under(trained, conditions, max_length, how)
    bounded = conditions.length is not None and conditions.length[1] is not None
    if paths is not None:
        return Exact(trained, conditions, compiled, paths, how, bounded)
    ahead = trained.once("ahead", lambda: look_ahead(trained, compiled), (conditions, max_length))
    return Estimated(trained, compiled, Particles(trained.model, trained.alphabet, ahead, how), is_new)


def compile_for(trained: Trained, conditions: Conditions, max_length: int) -> Compiled:
    """Conditions over a run's alphabet, its list's vowels found where they are needed."""
    vowels = None
    if conditions.syllables is not None and conditions.vowels is None and trained.hashes is None:
        vowels = trained.once("vowels", lambda: find_vowels(trained.corpus.unique_train))
    return compile_conditions(conditions, trained.alphabet, max_length, vowels)


def paths_under(trained: Trained, conditions: Conditions, max_length: int, how: How = PLAIN) -> Paths | None:
    """The paths of a model that looks back only so far; None where it does not, or its tables would not fit. Made once.

    Raises:
        As `compile_conditions`.
    """

    def make() -> Paths | None:
        compiled = compile_for(trained, conditions, max_length)
        if not fits(trained.model):
            return None
        try:
            return find_paths(trained.once("chain", lambda: chain_of(trained.model, how), how), compiled)
        except TooLarge:
            return None

    return trained.once("paths", make, (conditions, max_length, how))


def look_ahead(trained: Trained, compiled: Compiled) -> Ahead:
    """What a count model of the run's training lines sees ahead; of no lines, where the run kept none.

    Any order serves: the nearer the model, the more equal the weights.
    """
    for order in LOOKED_AHEAD if trained.hashes is None else ():
        chain = trained.once(f"count chain {order}", lambda order=order: count_chain(trained, order))
        if chain is None:
            continue
        try:
            return find_paths(chain, compiled, AHEAD_CELLS).sums
        except TooLarge:
            continue
    try:
        return find_paths(uniform_chain(trained.alphabet), compiled).sums
    except TooLarge as error:
        raise Impossible(
            f"looking ahead for these conditions would take too much memory: {error}. Use a shorter --max-length."
        ) from None


def count_chain(trained: Trained, order: int) -> Chain | None:
    """The Kneser-Ney model of a run's training lines, written out; None where it does not fit."""
    smoothing = "kneser-ney" if order > 1 else "add-1"
    recipe = Recipe("ngram", {"order": order, "smoothing": smoothing}, symbols=trained.alphabet.kind)
    model = fit_lines(recipe, trained.corpus.train, trained.alphabet)
    return chain_of(model) if fits(model) else None


def uniform_chain(alphabet: Alphabet) -> Chain:
    """One context, in which every symbol and the end are alike."""
    log_probs = torch.full((1, len(alphabet)), -math.log(len(alphabet)), dtype=torch.float64)
    return Chain(log_probs, -log_probs, torch.zeros(1, len(alphabet), dtype=torch.long), 0)


def known_mass(chain: Chain, compiled: Compiled, trained: Trained) -> tuple[float, int]:
    """The probability of the list's lines that meet the conditions, each counted once, and how many have any."""
    texts = sorted(_met(compiled, trained))
    probs = chain.score(trained.alphabet.encode_texts(texts)).neg().exp()
    return float(probs.sum()), int((probs > 0).sum())


def _met(compiled: Compiled, trained: Trained) -> set[str]:
    """The list's lines that meet the conditions."""
    lines = trained.corpus.lines
    return set(lines.take(np.flatnonzero(meets(compiled, trained.alphabet, lines))).texts())


def meets(compiled: Compiled, alphabet: Alphabet, lines: Lines) -> np.ndarray:
    """Which lines meet the conditions: bool [lines]."""
    encoded = alphabet.encode_lines(lines)
    sizes = np.diff(np.flatnonzero(encoded == BOUNDARY)) - 1
    return compiled.acceptor.accepts(encoded) & (sizes >= compiled.low) & (sizes <= compiled.high)


def begin_with(prefix: str, alphabet: Alphabet, lines: Lines) -> np.ndarray:
    """Which lines begin with a prefix, symbol by symbol, as lines are drawn after it (words whole): bool [lines]."""
    encoded = alphabet.encode_lines(lines)
    starts = np.flatnonzero(encoded == BOUNDARY)[:-1]
    found = np.ones(len(starts), bool)
    for i, symbol in enumerate(alphabet.encode(alphabet.spelling(prefix)) if prefix else [], start=1):
        found &= encoded[np.minimum(starts + i, len(encoded) - 1)] == symbol
    return found


def _mean(logs: list[float]) -> Probability:
    """The mean of estimates given by their logarithms, with Student's interval."""
    largest = max(logs)
    if largest == -math.inf:
        return Probability(-math.inf)
    each = over_seeds([math.exp(log - largest) for log in logs])
    scale = math.exp(largest)
    low, high = each.low or 0.0, each.high if each.high is not None else each.value
    return Probability(largest + math.log(each.value), max(low, 0.0) * scale, min(high * scale, 1.0))


def _mixed(several: list[Drawn], shares: np.ndarray, generator: torch.Generator) -> Drawn:
    """Lines of several runs, as many in all, each run's share by its weight, in a random order."""
    sizes = np.array([len(one.texts) for one in several])
    bounds = np.cumsum(shares)
    at = (np.arange(sizes.sum()) + float(torch.rand(1, generator=generator))) / sizes.sum()
    which = np.minimum(np.searchsorted(bounds, at, side="right"), len(several) - 1)
    counts = np.bincount(which, minlength=len(several))
    rows = np.concatenate([
        first + np.arange(count) % size
        for first, count, size in zip(np.cumsum(sizes) - sizes, counts.tolist(), sizes.tolist())
    ])  # fmt: skip
    rows = rows[torch.randperm(len(rows), generator=generator).numpy()]
    whole = Drawn(
        [text for one in several for text in one.texts],
        *(np.concatenate([getattr(one, name) for one in several]) for name in ("nats", "cut", "own")),
    )
    return whole.chosen(rows)
