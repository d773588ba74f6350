"""How long until a loss of the lectures is reached: ours by gradient from a random start, and by counting.

Reading the list, imports and the passes over dev are left out on both sides: the clock stops while dev is looked at.
The lectures' whole training is timed as so many seconds for 1,000 of its steps, times its 200,000.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lecture_loops import STEPS, mlp_loop, tree_loop
from moreish import Corpus, Recipe, evaluate, fit, make_recipe
from moreish.learning.evaluate import line_nats
from moreish.learning.steps import begin
from timing import REPEATS, Measured, Timing, clock, timed

REFERENCE_STEPS = 1_000
EVALUATIONS = 40
"""Times that dev is looked at on the way, evenly spread."""
WARM_UP = 5
COUNTED_ORDERS = range(2, 8)


@dataclass(frozen=True)
class Goal:
    """A loss on dev of the lecture split, who reached it, and how we do."""

    nats: float
    loop: Callable[[Corpus], Callable[[int], None]]
    recipe: dict[str, Any]


OURS: dict[str, Any] = {
    "model": "mlp", "context": 7, "embedding": 24, "hidden": 256, "layers": 2, "dropout": 0.0,
    "optimizer": "muon", "lr": 0.02, "schedule": "cosine", "warmup": 0.0, "weight_decay": 0.0, "batch": 256,
    "batch_of": "lines", "average": 0.0, "use": "last", "clip": 0.0, "label_smoothing": 0.0,
}  # fmt: skip
"""Every setting of our trainings to a loss, but for the steps: none follows from a default that may be tuned again."""
GOALS = {
    "tree": Goal(1.9937, tree_loop, {**OURS, "steps": 380}),
    "mlp": Goal(2.17, mlp_loop, {**OURS, "steps": 60}),
}
"""What is to be reached, and the steps in which the learning rate falls to nothing on the way."""


def tree(lists: dict[str, str]) -> dict[str, Measured]:
    """Seconds to 1.9937: ours, the lecture's for its tree, and by counting."""
    return _reach(GOALS["tree"], lists["names"])


def mlp(lists: dict[str, str]) -> dict[str, Measured]:
    """Seconds to 2.17: ours, the lecture's for its MLP, and by counting."""
    return _reach(GOALS["mlp"], lists["names"])


@dataclass(frozen=True)
class Reached:
    """When: after so many steps, at this loss."""

    timing: Timing
    step: int
    nats: float


def _reach(goal: Goal, path: str) -> dict[str, Measured]:
    corpus = Corpus.read(path, split="lecture")
    run = goal.loop(corpus)
    run(WARM_UP)
    warm_up = begin(make_recipe(corpus, **goal.recipe), corpus.train, corpus.alphabet)
    for _ in range(WARM_UP):
        warm_up.advance()
    reached, theirs = [], []
    for seed in range(REPEATS):
        reached.append(reach(corpus, make_recipe(corpus, seed=seed, **goal.recipe), goal.nats))
        theirs.append(timed(partial(run, REFERENCE_STEPS)).wall * STEPS / REFERENCE_STEPS)
    parameters = sum(p.numel() for p in warm_up.model.parameters())
    steps = ", ".join(str(one.step) for one in reached)
    note = (
        f"dev of the lecture split, which leaks; {parameters:,} parameters, random starts of {REPEATS} seeds, reached "
        f"after {steps} of {goal.recipe['steps']} steps at {', '.join(f'{one.nats:.4f}' for one in reached)}; "
        f"processor {sorted(one.timing.cpu for one in reached)[REPEATS // 2]:.2f} s; the reference is "
        f"{REFERENCE_STEPS:,} steps times {STEPS // REFERENCE_STEPS}"
    )
    ours = [one.timing for one in reached]
    return {
        "gradient": Measured([t.wall for t in ours], theirs, note, clock=clock(ours)),
        "counting": by_counting(corpus, goal.nats),
    }


def reach(corpus: Corpus, recipe: Recipe, goal: float) -> Reached:
    """Learn until dev is at most `goal`, from the making of the model and of its batches on.

    Raises:
        RuntimeError: the steps ended before.
    """
    wall = cpu = 0.0
    nats = float("inf")
    every = max(1, recipe.steps // EVALUATIONS)
    training = None
    while training is None or training.step < recipe.steps:
        began, worked = time.perf_counter(), time.process_time()
        training = training or begin(recipe, corpus.train, corpus.alphabet)
        for _ in range(min(every, recipe.steps - training.step)):
            training.advance()
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - worked
        lines, symbols = line_nats(training.result("current"), corpus.alphabet, corpus.dev)
        nats = float(lines.sum() / symbols.sum())
        if nats <= goal:
            return Reached(Timing(wall, cpu), training.step, nats)
    raise RuntimeError(f"seed {recipe.seed} ended at {nats:.4f} after {recipe.steps} steps, above {goal}")


def by_counting(corpus: Corpus, goal: float) -> Measured:
    """Seconds that Kneser-Ney takes to count and to smooth, at the shortest order that reaches the loss."""
    for order in COUNTED_ORDERS:
        nats = evaluate(fit(corpus, "ngram", order=order)).nats_per_symbol
        if nats <= goal:
            took = [timed(partial(fit, corpus, "ngram", order=order)) for _ in range(REPEATS)]
            return Measured([t.wall for t in took], note=f"order {order}: {nats:.4f}", clock=clock(took))
    raise RuntimeError(f"no order up to {COUNTED_ORDERS[-1]} counts its way to {goal}")
