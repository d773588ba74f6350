"""BatchNorm on a list: over what it takes its statistics, what batch-mates do, whether it regularises, two faults.

What torch, the lecture and our layer do is found by their numbers in truth.py; the rest is measured in trainings so
short that all of them together take half a minute. The sentences are in words.py.

Sources: Ioffe and Szegedy 2015; Karpathy, makemore parts 3 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from moreish.explaining.batchnorm import faults, regularizing
from moreish.explaining.batchnorm.faults import LectureAxes, Padding, lecture_axes, padding
from moreish.explaining.batchnorm.lessons import parts_of
from moreish.explaining.batchnorm.mates import Bias, Moved, biases, moved
from moreish.explaining.batchnorm.regularizing import MODELS, Regularized, regularized
from moreish.explaining.batchnorm.truth import Axes, Mode, Small, axes_table, modes_table, small_table
from moreish.explaining.telling import Told, last
from moreish.text.corpus import Corpus


@dataclass(frozen=True)
class BatchNormFound:
    """All that was found. `part` is where the losses are: `dev`, or `train` where the list has no dev part.

    `regularizes` is None where there is no dev part, for then there is nothing that it could not have learnt by heart;
    `not_measured` says so.
    """

    list: str
    part: str
    seed: int
    seeds: int
    axes: list[Axes]
    modes: list[Mode]
    small: list[Small]
    mates: list[Moved]
    bias: list[Bias]
    regularizes: Regularized | None
    not_measured: str
    padding: Padding
    lecture: LectureAxes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def explain_batchnorm(corpus: Corpus, seed: int = 0) -> BatchNormFound:
    """Find out what BatchNorm does, from its layers and on a list.

    Raises:
        ListError: the list is too short for two batches, or says hardly anything but one thing.
        UsageError: the seed is none.
    """
    return last(measured(corpus, seed), BatchNormFound)


def measured(corpus: Corpus, seed: int = 0) -> Iterator[Told | BatchNormFound]:
    """The same as a stream: after each training how far it is, at last what was found.

    Raises:
        ListError: the list is too short for two batches, or says hardly anything but one thing.
        UsageError: the seed is none.
    """
    parts = parts_of(corpus)
    held_out = parts.part == "dev"
    total = faults.SEEDS * 4
    total += regularizing.SEEDS * len(MODELS) if held_out else 0
    done = 0
    with_padding = axes_fault = regularizes = None
    for event in padding(parts, seed):
        if event is None:
            yield Told(done, total)
            done += 1
        else:
            with_padding = event
    for event in lecture_axes(parts, seed):
        if event is None:
            yield Told(done, total)
            done += 1
        else:
            axes_fault = event
    for event in regularized(parts, seed) if held_out else ():
        if event is None:
            yield Told(done, total)
            done += 1
        else:
            regularizes = event
    assert with_padding is not None and axes_fault is not None
    sound, padded = with_padding
    yield BatchNormFound(
        list=corpus.name,
        part=parts.part,
        seed=seed,
        seeds=faults.SEEDS,
        axes=axes_table(),
        modes=modes_table(),
        small=small_table(),
        mates=moved(sound, parts, seed),
        bias=biases(parts, seed),
        regularizes=regularizes,
        not_measured="" if held_out else f"{corpus.name} has no dev part, so there is no train against dev.",
        padding=padded,
        lecture=axes_fault,
    )
