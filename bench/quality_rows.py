"""The rows of the table of quality: what learns, what is asked of its loss on dev, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from campaign import Job, corpus_of
from moreish import make_recipe

SEEDS = (0, 1, 2)
SPLITS = ("lecture", "unique")

LECTURE_DESCENT: dict[str, Any] = {
    "optimizer": "sgd", "momentum": 0.0, "lr": 0.1, "schedule": "step", "decay_at": 0.75, "warmup": 0.0, "batch": 32,
    "batch_of": "windows", "steps": 200_000, "weight_decay": 0.0, "average": 0.0, "use": "last", "clip": 0.0,
    "label_smoothing": 0.0, "patience": 0,
}  # fmt: skip
"""The lectures' way of learning, every setting of it: a tenth of the rate after 150,000 of 200,000 steps (part 5)."""
LECTURE_MLP: dict[str, Any] = {"context": 3, "embedding": 10, "hidden": 200, "layers": 1, "dropout": 0.0}
LECTURE_TREE: dict[str, Any] = {"context": 8, "embedding": 24, "hidden": 128, "dropout": 0.0}


@dataclass(frozen=True)
class Limit:
    """What is asked of nats per symbol on dev: at most `figure`; with `within`, so near to it on both sides."""

    figure: float
    within: float | None = None
    aim: float | None = None


@dataclass(frozen=True)
class QualityRow:
    """A row of the table. `limits` has the splits on which it is measured; None there: nothing is asked.

    A row with a `model` is learnt with each seed by the model's tuned default, or where `settings` say otherwise by
    those. The others are made of what was learnt: `best` is the best of some rows, `mix` the ensemble of some.
    """

    id: str
    title: str
    limits: dict[str, Limit | None]
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    published: str = ""
    core_seconds: float | None = None
    best: tuple[str, ...] = ()
    mix: tuple[str, ...] = ()

    def job(self, split: str, seed: int) -> Job:
        """What has to be learnt for it."""
        return Job(self.id, make_recipe(corpus_of(split), self.model, seed=seed, **self.settings))


PURE = ("mlp", "gru", "wavenet", "transformer")
MEMBERS = ("mixture", "gru", "transformer", "mlp", "wavenet")

QUALITY_ROWS = (
    QualityRow(
        "mlp", "mlp, best context", {"lecture": Limit(1.955, aim=1.935), "unique": Limit(1.960, aim=1.940)}, "mlp",
        published="2.027",
    ),
    QualityRow(
        "mlp-bn", "mlp-bn, 3 symbols, the lecture's recipe and steps", {"lecture": Limit(2.105, within=0.01)}, "mlp-bn",
        {**LECTURE_MLP, **LECTURE_DESCENT}, published="2.105",
    ),
    QualityRow(
        "tree", "tree, 76k parameters, the lecture's recipe", {"lecture": Limit(1.993, within=0.01)}, "tree",
        {**LECTURE_TREE, **LECTURE_DESCENT}, published="1.9937",
    ),
    QualityRow(
        "gru", "gru or lstm: gru", {"lecture": Limit(1.950, aim=1.930), "unique": Limit(1.958, aim=1.938)}, "gru"
    ),
    QualityRow(
        "wavenet", "wavenet", {"lecture": Limit(1.971, aim=1.940), "unique": Limit(1.976, aim=1.948)}, "wavenet"
    ),
    QualityRow(
        "transformer", "transformer", {"lecture": Limit(1.964, aim=1.930), "unique": Limit(1.974, aim=1.938)},
        "transformer", published="about 1.95 after allowing for its other split",
    ),
    QualityRow(
        "best-pure", "best pure network: random start, no counts, no stored lines",
        {"lecture": Limit(1.950, aim=1.920), "unique": Limit(1.958)}, best=PURE,
    ),
    QualityRow(
        "mixture", "mixture (no language known to it)",
        {"lecture": Limit(1.875, aim=1.850), "unique": Limit(1.870, aim=1.842)}, "mixture", published="none",
        core_seconds=200,
    ),
    QualityRow(
        "ensemble", "ensemble: mixture, gru, transformer, mlp, wavenet, log-linear",
        {"lecture": Limit(1.862, aim=1.845), "unique": None}, mix=MEMBERS, published="none",
    ),
)  # fmt: skip
BY_ID = {row.id: row for row in QUALITY_ROWS}
