"""The ladder: every model, from knowing nothing upwards, learnt and measured on one split within a given time.

`climb` tells what happens as a stream of events; `ladder` runs it to the end. Cheap rungs take what they take. What is
left of the time is shared among the networks that are still to come, so that a rung that ends early leaves more to the
others, and one that fails harms none. A network takes at most the steps of its recipe, whatever the time: more of them
would only teach it the lines by heart.
"""

from __future__ import annotations

import time as clock
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moreish.errors import ConfigError, MoreishError, UsageError
from moreish.learning.choose import choose_order
from moreish.learning.evaluate import Evaluation, evaluate
from moreish.learning.fit import Evaluated, Finished, Step, events, make_recipe
from moreish.learning.recipe import MOST_STEPS, Recipe, Trained
from moreish.learning.steps import begin, fit_lines
from moreish.models.catalog import find_model
from moreish.models.model import LanguageModel
from moreish.randomness import stream_seed
from moreish.runs.compare import Standings
from moreish.runs.standing import (
    Comparison,
    HeldOut,
    Standing,
    check_holds_out,
    few_samples,
    held_out,
    held_out_in_turn,
    note_on,
    turns,
)
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

RUNGS = (
    "uniform", "unigram", "bigram", "ngram", "one-layer", "mlp", "mlp-bn", "rnn", "gru", "lstm", "tree", "wavenet",
    "transformer", "mixture",
)  # fmt: skip
"""From the smallest to the largest, in the order in which they are learnt."""
REFERENCE = "ngram"
WEIGHTS = {"one-layer": 0.5, "wavenet": 1.5, "transformer": 2.0, "mixture": 2.0}
"""How much of the time a network gets beside the others, which get 1: a step of these takes longer."""
SMALL_ALPHABET = 64
"""Up to here descent on the whole list at once takes the one-layer network a second; beyond, minibatches."""
RESERVE = 0.03
"""Of the time that is left, for what a plan does not count: drawing samples, measuring line by line."""
LEAST_TIME, MOST_TIME = 1.0, 10_000_000.0
LEAST_SHARE = 0.1
TELL_EVERY = 20


@dataclass(frozen=True)
class Climbing:
    """A rung is begun, the `number`th of `rungs`; `share` is the seconds it may take, None where it is not timed."""

    model: str
    number: int
    rungs: int
    share: float | None


@dataclass(frozen=True)
class Climbed:
    """A rung is done; its differences from the reference come at the end."""

    rung: Standing


@dataclass(frozen=True)
class Ladder(Comparison):
    """All rungs on one split. `time` is the seconds that were given and `seconds` those that it took."""

    time: float
    seconds: float
    seed: int

    @property
    def rungs(self) -> list[Standing]:
        """The rows, from the smallest model to the largest."""
        return self.rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = super().to_dict()
        rungs = plain.pop("runs")
        return {**plain, "rungs": rungs}


Event = Climbing | Step | Evaluated | Climbed | Ladder


def ladder(
    corpus: Corpus, *, time: float = 300.0, models: Sequence[str] | None = None, seed: int = 0, device: str = "cpu"
) -> Ladder:
    """Learn every model on one split and compare them: losses with paired intervals, parameters, seconds, samples.

    Args:
        time: seconds for all of it.
        models: which, in this order; all of `RUNGS` where not given.
        seed: decides weights, batches, samples and the draws behind the intervals.

    Raises:
        UsageError: the split holds nothing out, a model is named twice, or the time means nothing.
        ConfigError: there is no such model.
    """
    for event in climb(corpus, time=time, models=models, seed=seed, device=device):
        if isinstance(event, Ladder):
            return event
    raise AssertionError("a ladder ended without its last event")


def climb(
    corpus: Corpus, *, time: float = 300.0, models: Sequence[str] | None = None, seed: int = 0, device: str = "cpu",
    began: float | None = None,
) -> Iterator[Event]:  # fmt: skip
    """The same, telling what happens: Climbing, what learning tells, Climbed for each rung, at last the Ladder.

    Args:
        began: when the time began to run, by `time.perf_counter`, where that was before the list was read.
    """
    began = clock.perf_counter() if began is None else began
    names = check_request(time, models, seed)
    check_holds_out(corpus)
    standings = Standings(corpus, seed=seed)
    for number, name in enumerate(names, start=1):
        left = time - (clock.perf_counter() - began)
        share = share_of(corpus, names[number - 1 :], left)
        yield Climbing(name, number, len(names), share)
        try:
            row, held = yield from _rung(corpus, name, share, seed, device)
        except (MoreishError, MemoryError, RuntimeError) as error:  # torch has no error of its own for its troubles
            row, held = Standing(name, failed=" ".join(str(error).split()) or type(error).__name__), None
        yield Climbed(standings.add(row, held))
    reference = names.index(REFERENCE) if REFERENCE in names else 0
    found = standings.comparison(reference)
    yield Ladder(**vars(found), time=time, seconds=clock.perf_counter() - began, seed=seed)


def check_request(time: float, models: Sequence[str] | None = None, seed: int = 0) -> tuple[str, ...]:
    """The rungs that are asked for; needs no list, so that a mistake is said before one is read.

    Raises:
        UsageError, ConfigError
    """
    stream_seed(seed, "ladder")  # refuses what is no seed
    if isinstance(time, bool) or not isinstance(time, (int, float)) or not LEAST_TIME <= time <= MOST_TIME:
        raise ConfigError(
            f"time={time!r} is not a number of seconds from {LEAST_TIME:g} to {MOST_TIME:,.0f}. Use 300, say."
        )
    if models is None:
        return RUNGS
    names = tuple(models)
    if not names:
        raise UsageError("a ladder of no models has no rungs. Name some, such as --models bigram,ngram,mlp.")
    for i, name in enumerate(names):
        find_model(name)
        if name in names[:i]:
            raise UsageError(f"{name} is named twice among the models. Name each once.")
    return names


def share_of(corpus: Corpus, names: Sequence[str], left: float) -> float | None:
    """Seconds for the first of the rungs that are still to come, of those left for all; None where it is not timed."""
    if not _is_timed(corpus, names[0]):
        return None
    weights = [WEIGHTS.get(name, 1.0) for name in names if _is_timed(corpus, name)]
    return max(0.0, left) * (1 - RESERVE) * weights[0] / sum(weights)


def _is_timed(corpus: Corpus, name: str) -> bool:
    if name == "one-layer":
        return len(corpus.alphabet) > SMALL_ALPHABET
    return find_model(name).learns_by_gradient


def _rung(
    corpus: Corpus, name: str, share: float | None, seed: int, device: str
) -> Generator[Step | Evaluated, None, tuple[Standing, HeldOut]]:
    """Learn and measure one model; returns its row and what it makes of the held-out lines."""
    at = clock.perf_counter()
    recipe, full_steps = _recipe(corpus, name, share, seed, device)
    planned = clock.perf_counter() - at
    if corpus.kfold:
        found = []
        for learnt, out in turns(corpus):
            found.append(((yield from _learn(recipe, learnt, corpus, device)), learnt, out))
        held = held_out_in_turn(found, corpus.alphabet)
        at = clock.perf_counter()
        model = yield from _learn(recipe, corpus.train, corpus, device)  # for the samples
        learning, steps = clock.perf_counter() - at, recipe.steps
        trained = Trained(model, corpus.alphabet, corpus, recipe)
    else:
        trained, learning, steps, evaluation = yield from _learn_and_evaluate(corpus, recipe, device)
        held = held_out(trained, evaluation=evaluation)
    row = Standing(
        name, settings=recipe.settings, parameters=trained.parameters, seconds=planned + learning, steps=steps,
        full_steps=full_steps, counted=trained.model.fitted_by_counting, samples=few_samples(trained, seed),
        note=note_on(name),
    )  # fmt: skip
    return row, held


def _recipe(corpus: Corpus, name: str, share: float | None, seed: int, device: str) -> tuple[Recipe, int]:
    """A recipe that ends within its share, and how many steps it would take if it had the time.

    Evaluations on the way are left out where nothing hangs on them: they would take a good part of a short time.
    """
    if share is None:
        settings = choose_order(corpus)[1] if name == "ngram" else {}
        recipe = make_recipe(corpus, name, seed=seed, device=device, **settings)
        return recipe, recipe.steps
    if corpus.kfold:  # each fold learns, and then the list as a whole
        share /= len(turns(corpus)) + 1
    if share < LEAST_SHARE:
        raise ConfigError("there was no time left to learn it in. Give a longer --time.")
    full = make_recipe(corpus, name, seed=seed, device=device, evaluate_every=0, watch_every=0)
    needs_dev = full.patience or full.use == "best"
    recipe = make_recipe(
        corpus, name, seed=seed, time=share, device=device, watch_every=0,
        evaluate_every=0 if needs_dev else MOST_STEPS,
    )  # fmt: skip
    return replace(recipe, steps=min(recipe.steps, full.steps)), full.steps


def _learn_and_evaluate(
    corpus: Corpus, recipe: Recipe, device: str
) -> Generator[Step | Evaluated, None, tuple[Trained, float, int, Evaluation]]:
    """Learn the train part; returns what was learnt, in how many seconds and steps, and how good it is."""
    at = clock.perf_counter()
    if recipe.method != "minibatches":
        model = fit_lines(recipe, corpus.train, corpus.alphabet, device)
        seconds, trained = clock.perf_counter() - at, Trained(model, corpus.alphabet, corpus, recipe)
        return trained, seconds, recipe.steps, evaluate(trained)
    seconds, evaluation = 0.0, None
    for event in events(corpus, replace(recipe, watch_every=0), device):
        match event:
            case Step():
                seconds = clock.perf_counter() - at
                yield event
            case Evaluated():
                evaluation = event.evaluation
                yield event
            case Finished():
                assert evaluation is not None, "a corpus with a dev part is evaluated"
                return event.trained, seconds, event.step, evaluation
    raise AssertionError("a training ended without its last event")


def _learn(
    recipe: Recipe, lines: Lines, corpus: Corpus, device: str
) -> Generator[Step | Evaluated, None, LanguageModel[Any]]:
    if recipe.method != "minibatches":
        return fit_lines(recipe, lines, corpus.alphabet, device)
    training = begin(recipe, lines, corpus.alphabet, device)
    while training.step < recipe.steps:
        loss = training.advance()
        if training.step % TELL_EVERY == 0:
            yield Step(training.step, loss, recipe.steps)
    return training.result()
