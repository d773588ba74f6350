"""How good a generator is: many lines of it held against its list, beside real unseen lines held against the same.

No figure of a generator has its best at an extreme. One that only makes new lines need not know the list, one whose
3-grams are exactly the list's may be a copier. So the target of each row is the row of real lines that training never
saw, dev or test. What depends on how many lines there are is measured on sets of one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moreish.errors import MoreishError, UsageError
from moreish.generating.quality.measures import Measures
from moreish.generating.quality.rows import Row
from moreish.generating.sample import check_request, sample
from moreish.learning.evaluate import Evaluation, evaluate
from moreish.learning.recipe import Trained
from moreish.text.lines import Lines

FEWEST_SAMPLES, MOST_SAMPLES = 100, 1_000_000


@dataclass(frozen=True)
class Quality:
    """The table. `samples` lines were drawn, `size` are in a set where the size matters, `real` are held out.

    `evaluation` is what `evaluate` says of the same part.
    """

    model: str
    part: str
    split: str
    leaks: bool
    note: str
    samples: int
    real: int
    size: int
    seed: int
    temperature: float
    top_k: int | None
    top_p: float | None
    evaluation: Evaluation
    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        return next(found for found in self.rows if found.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "evaluation": self.evaluation.to_dict(), "rows": [each.to_dict() for each in self.rows]}


def quality(
    trained: Trained,
    samples: int = 10_000,
    *,
    part: str = "dev",
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Quality:
    """Draw lines and measure them: new, true, distinct, distances, nearness, what they leave out, whether they show.

    Most of the time goes into drawing where the model is a network; else into two count models and measuring edits,
    line against line.

    Args:
        samples: lines drawn, from 100 to 1,000,000.
        part: the real lines to compare with, `dev` or `test`. A list too short to hold any out has none; then only
            what needs none is known.
        seed: the same seed gives the same lines, those of `sample`, and the same figures.
        temperature, top_k, top_p: how they are drawn, as in `sample`.

    Raises:
        UsageError: a setting that means nothing, or a part that is not held out.
        MoreishError: the run kept no list, or the model makes only empty lines.
    """
    check_samples(samples)
    check_request(samples, temperature=temperature, top_k=top_k, top_p=top_p)
    if part not in ("dev", "test"):
        raise UsageError(f"part={part!r:.40} holds no unseen lines to compare samples with. Use dev or test.")
    evaluation = evaluate(trained, part)  # refuses a run without its list
    made = sample(trained, samples, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p).lines
    if not made:
        raise MoreishError("this model makes nothing but empty lines, so there is nothing to measure. Train it longer.")
    corpus = trained.corpus
    real = None if corpus.kfold or corpus.split == "none" else corpus.part(part)
    measures = Measures(trained, Lines.of(line.text for line in made), real, seed)
    rows = measures.rows(np.array([line.nats for line in made]), sum(line.cut for line in made))
    return Quality(
        trained.recipe.model, evaluation.part, corpus.split, corpus.leaks, corpus.note, len(made),
        0 if real is None else len(real), measures.size, seed, temperature, top_k, top_p, evaluation, rows,
    )  # fmt: skip


def check_samples(samples: int) -> None:
    """Refuse a number of samples that means nothing, before anything is loaded.

    Raises:
        UsageError
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or not FEWEST_SAMPLES <= samples <= MOST_SAMPLES:
        raise UsageError(
            f"samples={samples!r} is not a whole number from {FEWEST_SAMPLES} to {MOST_SAMPLES:,}. Use 10000, say."
        )
