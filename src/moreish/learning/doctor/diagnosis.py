"""The doctor at work: a short training is observed and judged, and where asked mended and run again.

`diagnose` puts a training together from a list or a run. `doctor` observes a loop that somebody else wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from moreish.errors import ConfigError, did_you_mean
from moreish.learning.doctor.course import Course, Stepped, running
from moreish.learning.doctor.faults import FAULTS
from moreish.learning.doctor.finding import Finding
from moreish.learning.doctor.observer import EVERY, Observer
from moreish.learning.doctor.rules import judge
from moreish.learning.doctor.setup import Setup
from moreish.learning.fit import make_recipe
from moreish.learning.intervals import Bootstrap, Interval
from moreish.learning.recipe import Recipe, Trained
from moreish.models.catalog import find_model
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

MOST_STEPS = 400
WORK = 4e11
"""Multiplications that a diagnosis's training may take: some ten seconds of one core."""
HEAVY = {"mixture": 40.0}
"""What a symbol costs a model beside its weights, in units of them."""
LEAST_LINES = 20
NO_FAULT = "no fault found"


@dataclass(frozen=True)
class Outcome:
    """How a training ended: nats a symbol on dev with its 95 % interval (None where it broke down or nothing is held
    out), and what the doctor says of it.
    """

    dev: float | None
    low: float | None
    high: float | None
    findings: list[str]


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found, most likely first, in `steps` steps of a training.

    `before`, `after` and `gain` are there with a fix: `fixed` names the fault that was mended and `gain` is by how much
    dev's loss fell, with its paired 95 % interval; None where both are not on the same lines, or one broke down.
    """

    list: str
    model: str
    steps: int
    seed: int
    planted: str | None
    findings: list[Finding]
    fixed: str | None = None
    before: Outcome | None = None
    after: Outcome | None = None
    gain: Interval | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        out = asdict(self)
        for name in ("fixed", "before", "after", "gain"):
            if self.before is None:
                del out[name]
        return out

    def __str__(self) -> str:
        return "\n".join(f"{f.fault} ({f.where}): {f.evidence}. Fix: {f.fix}" for f in self.findings) or NO_FAULT


class Doctor(Observer):
    """Observes a training loop of your own; `report()` says what is wrong with it.

    with moreish.doctor(model) as d:
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    print(d.report())

    `d.measured(train=..., dev=...)` takes losses that the loop measured, in nats, for overfitting and underfitting.
    """

    def report(self) -> Diagnosis:
        """What is wrong, most likely first, as far as what was seen can tell.

        Raises:
            ConfigError: it saw no backward pass.
        """
        if not self.evidence.passes:
            raise ConfigError("the doctor saw no backward pass. Train inside `with moreish.doctor(model) as d:`.")
        found = [replace(f, fix=FAULTS[f.fault].code) for f in judge(self.evidence)]
        return Diagnosis("", type(self.model).__name__, len(self.evidence.passes), 0, None, found)


def doctor(model: nn.Module | Iterable[Tensor], every: int = EVERY) -> Doctor:
    """Observe a training loop.

    Args:
        model: any module; or the parameters alone, as in a loop without one.
        every: passes between closer looks. A closer look takes a few times as long as the pass itself.
    """
    return Doctor(model, every)


def diagnose(start: Corpus | Trained, model: str | None = None, **asked: Any) -> Diagnosis:
    """What is wrong with a training, found by a short one under observation.

    Args:
        start: a list, or what `load` and `fit` return: then its own recipe is run again from its start.
        model: a network's name, for a list; mlp if none is named.
        asked: `fix` (mend the likeliest fault and run again), `plant` (a fault's name, to be put in first), `seed`,
            `device`; for a list also the settings of the model and of learning, as `fit` takes them.

    Raises:
        ConfigError: a model that counts, an unknown fault, one that the model cannot have, or a list too short.
    """
    for event in diagnosing(start, model, **asked):
        if isinstance(event, Diagnosis):
            return event
    raise AssertionError("the last event is the diagnosis")


def diagnosing(
    start: Corpus | Trained,
    model: str | None = None,
    *,
    fix: bool = False,
    plant: str | None = None,
    seed: int | None = None,
    device: str = "cpu",
    **asked: Any,
) -> Iterator[Stepped | Diagnosis]:
    """The same as events: Stepped for each step, at last the Diagnosis. What can be refused is refused at once."""
    corpus = start if isinstance(start, Corpus) else start.corpus
    recipe = _recipe(start, model, seed, device, asked)
    setup = _setup(corpus, recipe, device)
    setup = _planted(setup, plant)
    return _events(corpus.name, setup, plant, fix, duplicate_share(corpus))


def _events(
    name: str, setup: Setup, plant: str | None, fix: bool, repeats: float | None
) -> Iterator[Stepped | Diagnosis]:
    course = yield from running(setup, repeats)
    treatments = prescribed(judge(course.evidence), setup)
    note = "" if len(setup.dev) else "nothing is held out, so overfitting and leaks were not looked for"
    recipe = setup.recipe
    found = Diagnosis(
        name, recipe.model, recipe.steps, recipe.seed, plant, [each.finding for each in treatments], note=note
    )
    chosen = first_of(treatments, setup) if fix else None
    if chosen is None:
        yield found
        return
    again = yield from running(chosen.mended, repeats)
    yield replace(
        found, fixed=chosen.finding.fault, before=_outcome(course), after=_outcome(again),
        gain=_gain(course, again, setup, chosen.mended),
    )  # fmt: skip


@dataclass(frozen=True)
class Treatment:
    """A finding with the smallest fix in words, and the training so mended."""

    finding: Finding
    mended: Setup


def prescribed(findings: list[Finding], setup: Setup) -> list[Treatment]:
    """What to do about each."""
    out = []
    for finding in findings:
        fault = FAULTS[finding.fault]
        mended = fault.mend(setup)
        recipe = mended.recipe
        values = {"lr": f"{recipe.lr:g}", "batch": recipe.batch, "hidden": "", "embedding": "", **recipe.settings}
        out.append(Treatment(replace(finding, fix=(fault.flag or fault.code).format(**values)), mended))
    return out


def first_of(treatments: list[Treatment], setup: Setup) -> Treatment | None:
    """The likeliest whose fix changes the training."""
    return next((each for each in treatments if each.mended != setup), None)


def duplicate_share(corpus: Corpus) -> float | None:
    """The share of a list's lines that repeat an earlier one, where the list itself is at hand."""
    parts = [lines for lines in (corpus.train, corpus.dev, corpus.test) if len(lines)]
    if not parts:
        return None
    distinct = len(np.unique(np.concatenate([line_hashes(lines) for lines in parts])))
    lines = corpus.report.lines if corpus.report is not None else sum(map(len, parts))
    return 1 - distinct / lines if lines else None


def _recipe(start: Corpus | Trained, model: str | None, seed: int | None, device: str, asked: dict[str, Any]) -> Recipe:
    if isinstance(start, Corpus):
        recipe = make_recipe(start, model or "mlp", seed=seed or 0, device=device, **asked)
    else:
        if model is not None or asked:
            name = "--model" if model is not None else f"--{next(iter(asked))}"
            raise ConfigError(f"{name} was decided when this run was made. Leave it out, or give a list.")
        if not start.corpus.train:
            raise ConfigError(f"{start.run or 'this run'} kept no list, so it cannot be run again. Use one that did.")
        recipe = start.recipe if seed is None else replace(start.recipe, seed=seed)
    if not find_model(recipe.model).learns_by_gradient:
        raise ConfigError(f"{recipe.model} is fitted by counting, so nothing can go wrong in its learning. Use mlp.")
    if recipe.method != "minibatches":
        raise ConfigError(
            f"{recipe.model} learns here by {recipe.method}, which the doctor does not look into. Add --batch 32, or "
            f"use mlp."
        )
    return recipe


def _setup(corpus: Corpus, recipe: Recipe, device: str) -> Setup:
    train, dev = corpus.train, corpus.dev
    if corpus.kfold and (folds := corpus.folds()):
        train, dev = folds[0]
    if len(train) < LEAST_LINES:
        raise ConfigError(
            f"{corpus.name} has {len(train)} lines to learn from, too few for a diagnosis; it takes {LEAST_LINES}. Use "
            f"a longer list, or moreish inspect."
        )
    steps = min(recipe.steps, MOST_STEPS, _affordable(recipe, train, corpus.alphabet))
    recipe = replace(recipe, steps=steps, patience=0, compile=False, by_hand=False)
    return Setup(recipe, train, dev, corpus.alphabet, device=device)


def _affordable(recipe: Recipe, train: Lines, alphabet: Alphabet) -> int:
    """Steps for which there is time, by the multiplications that they take: the same on every machine."""
    entry = find_model(recipe.model)
    model = entry.build(entry.configure(symbols=len(alphabet), **recipe.settings), seed=recipe.seed)
    weights = sum(p.numel() for p in model.parameters()) * HEAVY.get(recipe.model, 1.0)
    mean = 1.0 if recipe.batch_of == "windows" else 1 + len(train.data) / max(1, len(train))
    return max(40, int(WORK / (6 * weights * min(recipe.batch, len(train)) * mean)))


def _planted(setup: Setup, plant: str | None) -> Setup:
    if plant is None:
        return setup
    if plant not in FAULTS:
        raise ConfigError(f"no fault is called {plant!r:.60}. {did_you_mean(plant, list(FAULTS))}")
    fault = FAULTS[plant]
    if fault.plant is None:
        raise ConfigError(f"{plant} is a list's fault, and cannot be planted in a training. Plant another.")
    if setup.recipe.model not in fault.models:
        raise ConfigError(f"{plant} cannot be planted in {setup.recipe.model}. It can in: {', '.join(fault.models)}.")
    if not len(setup.dev) and plant in ("leaking-split", "dev-prepared-differently", "overfit"):
        raise ConfigError(f"{plant} is about lines that are held out, and here none are. Use --split unique.")
    return fault.plant(setup)


def _outcome(course: Course) -> Outcome:
    names = [finding.fault for finding in judge(course.evidence)]
    if course.dev_nats is None or course.dev_sizes is None or not len(course.dev_nats):
        return Outcome(None, None, None, names)
    interval = Bootstrap(course.dev_sizes).loss(course.dev_nats).interval()
    return Outcome(interval.value, _known(interval.low), _known(interval.high), names)


def _gain(one: Course, other: Course, before: Setup, after: Setup) -> Interval | None:
    if one.dev_nats is None or other.dev_nats is None or one.dev_sizes is None or not len(one.dev_nats):
        return None
    if not np.array_equal(before.shown_dev().data, after.shown_dev().data):
        return None
    draws = Bootstrap(one.dev_sizes)
    return draws.loss(one.dev_nats).minus(draws.loss(other.dev_nats))


def _known(x: float) -> float | None:
    return x if math.isfinite(x) else None
