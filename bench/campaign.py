"""Learning a recipe for the tables of quality and of the lectures: once, kept in out/quality, written down."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from moreish import Corpus, Recipe, Trained, evaluate, fit, load, save
from moreish.errors import MoreishError
from moreish.explaining.grains.lecture_net import PARAMETERS, fresh
from moreish.layers import hidden_matrices
from moreish.learning.batches import Batches
from moreish.learning.evaluate import line_nats
from moreish.learning.fit import Evaluated, Finished, Step, events
from moreish.learning.schedule import rate_at
from moreish.learning.steps import begin
from moreish.models.model import LanguageModel
from moreish.ops.mlp_step import MLPStep
from moreish.randomness import stream
from results import OUT, ROOT, Description, Result, add, describe, find, read

Say = Callable[[str], None]
TOLD_STEPS = 20_000
"""Steps between words on a training that looks at nothing on its way."""


class Busy(Exception):
    """Another process is at this job."""


def names_path() -> Path:
    """The list that the figures are about: NAMES, or ../shared/data/names.txt beside the repository."""
    return (ROOT / (os.environ.get("NAMES") or "../shared/data/names.txt")).resolve()


@cache
def corpus_of(split: str) -> Corpus:
    """The list, split."""
    return Corpus.read(names_path(), split=split)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Job:
    """One recipe to be learnt for a row."""

    row: str
    recipe: Recipe
    start: dict[str, float] | None = None
    """How weights begin where not as Moreish has them; see `begin_as`."""
    by_hand: bool = False
    """Whether it is learnt by `MLPStep`, from the lecture's start in part 4: mlp-bn with one hidden layer."""

    @property
    def corpus(self) -> Corpus:
        return corpus_of(self.recipe.split)

    @property
    def description(self) -> Description:
        said = describe(self.recipe, self.corpus, self.start)
        return {**said, "learnt_by": "MLPStep"} if self.by_hand else said

    @property
    def place(self) -> Path:
        """Where its run is kept."""
        return OUT / self.recipe.split / self.row / str(self.recipe.seed)

    @property
    def name(self) -> str:
        return f"{self.row}, {self.recipe.split} split, seed {self.recipe.seed}"


@contextmanager
def at_work(place: Path):
    """Hold a job's lock.

    Raises:
        Busy: another process holds it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(place.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(place.name) from None
    try:
        yield
    finally:
        lock.release()


def run(job: Job, say: Say) -> Result:
    """The result of a job on dev, learnt now where there is none.

    Raises:
        Busy: another process is at it.
    """
    found = find(read(), job.description)
    if found is not None:
        return found
    with at_work(job.place):
        found = find(read(), job.description)  # perhaps the other process has just finished
        if found is not None:
            return found
        trained, seconds = learn(job, say)
        figures = {**measured(trained, "dev"), "core_seconds": round(seconds, 2)}
        return add(job.row, job.description, "dev", figures)


def run_on_test(job: Job, say: Say) -> Result:
    """The one look at test; a second call gives the first one's figures.

    Raises:
        Busy: another process is at it.
    """
    found = find(read(), job.description, "test")
    if found is not None:
        return found
    with at_work(job.place):
        return add(job.row, job.description, "test", measured(kept(job, say), "test"))


def kept(job: Job, say: Say) -> Trained:
    """The run of a job, learnt again where it is not here: the same recipe gives the same weights."""
    if (job.place / "run.toml").exists():
        try:
            trained = load(job.place)
            if replace(job, recipe=trained.recipe).description == job.description:
                return trained
        except MoreishError as error:
            say(f"{job.name}: {error}")
    return learn(job, say)[0]


def learn(job: Job, say: Say) -> tuple[Trained, float]:
    """Learn, keep the run, and say how many core-seconds the learning took, with its looks at dev on the way."""
    began = time.process_time()
    corpus, recipe = job.corpus, job.recipe
    if recipe.method != "minibatches":
        trained = fit(corpus, recipe.model, seed=recipe.seed, **recipe.settings)
        return trained, time.process_time() - began
    if job.by_hand:
        trained = _learn_by_hand(corpus, recipe, say)
        seconds = time.process_time() - began
    elif job.start is not None:
        trained = _learn_from(job.start, corpus, recipe, say)
        seconds = time.process_time() - began
    else:
        seconds, trained = math.nan, None
        for event in events(corpus, replace(recipe, watch_every=0)):
            if isinstance(event, Step):
                seconds = time.process_time() - began  # the last one comes before the evaluation at the end
            elif isinstance(event, Evaluated):
                say(f"{job.name}: step {event.step:,}, dev {event.evaluation.nats_per_symbol:.4f}")
            elif isinstance(event, Finished):
                trained = event.trained
        assert trained is not None
    save(trained, job.place, overwrite=True)
    return trained, seconds


def _learn_from(start: dict[str, float], corpus: Corpus, recipe: Recipe, say: Say) -> Trained:
    training = begin(recipe, corpus.train, corpus.alphabet)
    begin_as(training.model, start, recipe.seed)
    while training.step < recipe.steps:
        loss = training.advance()
        if training.step % TOLD_STEPS == 0:
            say(f"{recipe.model}: step {training.step:,} of {recipe.steps:,}, loss of a batch {loss:.4f}")
    return Trained(training.result(), corpus.alphabet, corpus, recipe)


def _learn_by_hand(corpus: Corpus, recipe: Recipe, say: Say) -> Trained:
    """Part 4's training: the lecture's start, the whole step without autograd, running statistics kept as in part 3."""
    model = begin(recipe, corpus.train, corpus.alphabet).model
    config = model.config
    p = fresh(config.symbols, config.context, config.embedding, config.hidden, recipe.seed)
    step = MLPStep(*(p[name] for name in PARAMETERS))
    batches = Batches(corpus.train, corpus.alphabet, recipe.batch, recipe.seed)
    say(f"the step is {step.engine}. {step.why_plain}")
    for i in range(recipe.steps):
        lr = recipe.lr * rate_at(recipe.schedule, i, recipe.steps, recipe.warmup, recipe.decay_at)
        batch = batches.windows_at(i, config.context)
        loss = step.step(batch.windows, batch.targets, lr)
        if (i + 1) % TOLD_STEPS == 0:
            say(f"{recipe.model}: step {i + 1:,} of {recipe.steps:,}, loss of a batch {loss:.4f}")
    model.load_state_dict(step.to_mlp_bn())
    return Trained(model.eval(), corpus.alphabet, corpus, recipe)


@torch.no_grad()
def begin_as(model: LanguageModel[Any], start: dict[str, float], seed: int) -> None:
    """Draw a network's weights anew, as a lecture does.

    Args:
        start: `hidden` and `output`, deviations of the weights times the root of their inputs; `hidden_bias` and
            `output_bias`, deviations of the biases. What stands for the symbols begins with a deviation of 1 anyway.
    """
    generator = stream(seed, "bench/start")
    for name in hidden_matrices(model):
        _draw(model.get_parameter(name), start["hidden"], generator)
        bias = f"{name.removesuffix('weight')}bias"
        if bias in dict(model.named_parameters()):
            model.get_parameter(bias).normal_(0, start["hidden_bias"], generator=generator)
    _draw(model.get_parameter("output.weight"), start["output"], generator)
    model.get_parameter("output.bias").normal_(0, start["output_bias"], generator=generator)


def _draw(weight: torch.Tensor, gain: float, generator: torch.Generator) -> None:
    weight.normal_(0, gain / math.sqrt(weight.shape[1]), generator=generator)


def measured(trained: Trained, part: str) -> dict[str, Any]:
    """The figures of a part of the list; with those of dev, the loss on train as it stands in the list."""
    found = evaluate(trained, part)
    figures = {
        "nats": found.nats_per_symbol,
        "copy_mass": found.copy_mass,
        "nats_given_new": found.nats_given_new,
        "parameters": found.parameters,
    }
    if part == "dev":
        nats, symbols = line_nats(trained.model, trained.alphabet, trained.corpus.train)
        figures["train_nats"] = float(nats.sum() / symbols.sum())
    return figures
