"""Moreish: give it a list, one thing per line. It makes more things like them, and shows you why it works.

    import moreish

    corpus = moreish.Corpus.read("names")
    trained = moreish.fit(corpus, "ngram")
    print(moreish.evaluate(trained).nats_per_symbol)
    for line in moreish.sample(trained, 5, new_only=True).lines:
        print(line.text, line.origin, line.near)

Importing it does not import torch until a name needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moreish.errors import (
        AlphabetError,
        CheckpointError,
        CheckpointWarning,
        ConfigError,
        Impossible,
        LawBroken,
        ListError,
        MoreishError,
        RunError,
        RunExists,
        RunLocked,
        StorageError,
        UsageError,
    )
    from moreish.exchange.makemore import import_makemore
    from moreish.explaining.batchnorm.chapter import BatchNormFound, explain_batchnorm
    from moreish.explaining.bigram.walk import Bigram, explain_bigram
    from moreish.explaining.broadcasting.explanation import Broadcasting, explain_broadcasting
    from moreish.explaining.convolution.walk import Convolution, explain_convolution
    from moreish.explaining.dimensionality.dimensionality import Dimensionality, explain_dimensionality
    from moreish.explaining.embedding.measures import Embeddings, embeddings
    from moreish.explaining.exercises import exercise
    from moreish.explaining.grading.grader import grade, grade_file
    from moreish.explaining.grading.grades import Grade
    from moreish.explaining.grains.backprop import Backprop, backprop
    from moreish.explaining.initialization.flow import Initialization, initialization
    from moreish.explaining.minibatch.minibatch import Minibatch, explain_minibatch
    from moreish.explaining.optimizability.chapter import Optimizability, explain_optimizability
    from moreish.explaining.taping.tape import Tape, tape
    from moreish.generating.best import Best, BestLine, best
    from moreish.generating.blend import Blended, blend
    from moreish.generating.constraints import Conditions
    from moreish.generating.nearest import Nearest
    from moreish.generating.novelty import Novelty
    from moreish.generating.quality.quality import Quality, quality
    from moreish.generating.sample import Line, Sample, sample
    from moreish.generating.steer import Steering, steer
    from moreish.generating.template import Completions, complete
    from moreish.generating.trace import Why, why
    from moreish.learning.doctor.diagnosis import Diagnosis, Doctor, diagnose, doctor
    from moreish.learning.evaluate import Evaluation, evaluate
    from moreish.learning.finder import FoundRate, find_lr
    from moreish.learning.fit import Evaluated, Finished, Step, Watched, events, fit, make_recipe
    from moreish.learning.recipe import Recipe, Trained
    from moreish.learning.score import Scored, score
    from moreish.models.catalog import MODELS
    from moreish.models.laws import check_model
    from moreish.models.model import LanguageModel, WindowModel, select
    from moreish.ops.mlp_step import MLPStep
    from moreish.ops.op import Op, by_hand
    from moreish.runs.compare import compare
    from moreish.runs.directory import load
    from moreish.runs.ladder import Ladder, ladder
    from moreish.runs.recording import resume, save
    from moreish.runs.report import Report, report
    from moreish.runs.standing import Comparison, Standing
    from moreish.runs.vitals import WatchedRun, vitals
    from moreish.text.alphabet import Alphabet
    from moreish.text.corpus import Corpus
    from moreish.text.hygiene import Hygiene, inspect
    from moreish.text.lines import Lines
    from moreish.text.lists import bundled
    from moreish.text.reading import ReadOptions

__version__: str

_HOMES = {
    "moreish.errors": (
        "AlphabetError CheckpointError CheckpointWarning ConfigError Impossible LawBroken ListError MoreishError "
        "RunError RunExists RunLocked StorageError UsageError"
    ),
    "moreish.exchange.makemore": "import_makemore",
    "moreish.explaining.batchnorm.chapter": "BatchNormFound explain_batchnorm",
    "moreish.explaining.embedding.measures": "Embeddings embeddings",
    "moreish.explaining.grains.backprop": "Backprop backprop",
    "moreish.explaining.broadcasting.explanation": "Broadcasting explain_broadcasting",
    "moreish.explaining.dimensionality.dimensionality": "Dimensionality explain_dimensionality",
    "moreish.explaining.bigram.walk": "Bigram explain_bigram",
    "moreish.explaining.convolution.walk": "Convolution explain_convolution",
    "moreish.explaining.exercises": "exercise",
    "moreish.explaining.grading.grader": "grade grade_file",
    "moreish.explaining.grading.grades": "Grade",
    "moreish.explaining.optimizability.chapter": "Optimizability explain_optimizability",
    "moreish.explaining.minibatch.minibatch": "Minibatch explain_minibatch",
    "moreish.explaining.initialization.flow": "Initialization initialization",
    "moreish.explaining.taping.tape": "Tape tape",
    "moreish.generating.best": "Best BestLine best",
    "moreish.generating.quality.quality": "Quality quality",
    "moreish.generating.template": "Completions complete",
    "moreish.generating.trace": "Why why",
    "moreish.generating.blend": "Blended blend",
    "moreish.generating.constraints": "Conditions",
    "moreish.generating.nearest": "Nearest",
    "moreish.generating.novelty": "Novelty",
    "moreish.generating.sample": "Line Sample sample",
    "moreish.generating.steer": "Steering steer",
    "moreish.learning.doctor.diagnosis": "Diagnosis Doctor diagnose doctor",
    "moreish.learning.evaluate": "Evaluation evaluate",
    "moreish.learning.finder": "FoundRate find_lr",
    "moreish.learning.fit": "Evaluated Finished Step Watched events fit make_recipe",
    "moreish.learning.recipe": "Recipe Trained",
    "moreish.learning.score": "Scored score",
    "moreish.models.catalog": "MODELS",
    "moreish.models.laws": "check_model",
    "moreish.models.model": "LanguageModel WindowModel select",
    "moreish.ops.mlp_step": "MLPStep",
    "moreish.ops.op": "Op by_hand",
    "moreish.runs.compare": "compare",
    "moreish.runs.directory": "load",
    "moreish.runs.ladder": "Ladder ladder",
    "moreish.runs.recording": "resume save",
    "moreish.runs.report": "Report report",
    "moreish.runs.standing": "Comparison Standing",
    "moreish.runs.vitals": "WatchedRun vitals",
    "moreish.text.alphabet": "Alphabet",
    "moreish.text.corpus": "Corpus",
    "moreish.text.hygiene": "Hygiene inspect",
    "moreish.text.lines": "Lines",
    "moreish.text.lists": "bundled",
    "moreish.text.reading": "ReadOptions",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "MODELS",
    "Alphabet",
    "AlphabetError",
    "Backprop",
    "BatchNormFound",
    "Best",
    "BestLine",
    "Bigram",
    "Blended",
    "Broadcasting",
    "CheckpointError",
    "CheckpointWarning",
    "Comparison",
    "Completions",
    "Conditions",
    "ConfigError",
    "Convolution",
    "Corpus",
    "Diagnosis",
    "Dimensionality",
    "Doctor",
    "Embeddings",
    "Evaluated",
    "Evaluation",
    "Finished",
    "FoundRate",
    "Grade",
    "Hygiene",
    "Impossible",
    "Initialization",
    "Ladder",
    "LanguageModel",
    "LawBroken",
    "Line",
    "Lines",
    "ListError",
    "MLPStep",
    "Minibatch",
    "MoreishError",
    "Nearest",
    "Novelty",
    "Op",
    "Optimizability",
    "Quality",
    "ReadOptions",
    "Recipe",
    "Report",
    "RunError",
    "RunExists",
    "RunLocked",
    "Sample",
    "Scored",
    "Standing",
    "Steering",
    "Step",
    "StorageError",
    "Tape",
    "Trained",
    "UsageError",
    "Watched",
    "WatchedRun",
    "Why",
    "WindowModel",
    "__version__",
    "backprop",
    "best",
    "blend",
    "bundled",
    "by_hand",
    "check_model",
    "compare",
    "complete",
    "diagnose",
    "doctor",
    "embeddings",
    "evaluate",
    "events",
    "exercise",
    "explain_batchnorm",
    "explain_bigram",
    "explain_broadcasting",
    "explain_convolution",
    "explain_dimensionality",
    "explain_minibatch",
    "explain_optimizability",
    "find_lr",
    "fit",
    "grade",
    "grade_file",
    "import_makemore",
    "initialization",
    "inspect",
    "ladder",
    "load",
    "make_recipe",
    "quality",
    "report",
    "resume",
    "sample",
    "save",
    "score",
    "select",
    "steer",
    "tape",
    "vitals",
    "why",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("moreish")
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'moreish' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
