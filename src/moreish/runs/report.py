"""A run's report: what it is, how it came to be, how well it does, what it makes, and what is to be seen inside it.

One `Report` is measured; page, JSON and terminal render it, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moreish.errors import ConfigError, MoreishError, UsageError
from moreish.learning.doctor.diagnosis import diagnose
from moreish.learning.doctor.finding import Finding
from moreish.learning.recipe import Trained
from moreish.randomness import stream_seed
from moreish.runs.directory import count_looks, load_with_step, read_events, read_run
from moreish.runs.place import EVENTS_FILE
from moreish.runs.reporting.inside import NOT_LOOKED, verdicts_section, vitals_of_run
from moreish.runs.reporting.learning import learning_section
from moreish.runs.reporting.making import embeddings_section, samples_section
from moreish.runs.reporting.predicting import predicting_section
from moreish.runs.reporting.run import list_section, run_section, summary
from moreish.runs.reporting.section import Figure, Section

LINES = 20
MOST_LINES = 1_000
HEADLINES = (("predicting", "nats"), ("predicting", "perplexity"), ("samples", "new"), ("run", "parameters"))
"""The figures that stand at the head of a report: section and name."""


@dataclass(frozen=True)
class Report:
    """What is to be said of a run.

    `model` and `list` are what was trained on what, `run` its directory, `summary` both in a sentence.
    """

    model: str
    list: str
    run: str
    summary: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """The report in a line."""
        return f"{self.model} on {self.list}"

    @property
    def headlines(self) -> tuple[Figure, ...]:
        """The figures that matter most, of those that are known."""
        found = []
        for section, name in HEADLINES:
            found += [f for s in self.sections if s.name == section for f in s.figures if f.name == name]
        return tuple(figure for figure in found if figure.value is not None)

    def section(self, name: str) -> Section:
        """The section of that name."""
        return next(section for section in self.sections if section.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "model": self.model,
            "list": self.list,
            "run": self.run,
            "summary": self.summary,
            "sections": [section.to_dict() for section in self.sections],
        }


def report(run: str | Path, *, seed: int = 0, lines: int = LINES, doctor: bool = True) -> Report:
    """Measure a run for its report.

    Args:
        run: its directory.
        seed: of the lines that it makes; the same seed gives the same report.
        lines: how many of those are shown.
        doctor: whether the doctor looks at it: up to 400 steps by the run's recipe are taken again and observed.

    Raises:
        RunError: it is no run, or a line of its events is damaged.
        CheckpointError: no checkpoint in it is whole.
        UsageError: a seed or a number of lines that means nothing.
    """
    if isinstance(lines, bool) or not isinstance(lines, int) or not 1 <= lines <= MOST_LINES:
        raise UsageError(f"lines={lines!r:.40} is not a whole number from 1 to {MOST_LINES:,}. Use 20, say.")
    stream_seed(seed, "report")  # refuses what is no seed
    record = read_run(run)
    trained, step = load_with_step(run)
    events = read_events(run)
    sections = (
        list_section(trained),
        learning_section(trained, events, step),
        predicting_section(trained, events, step, str(Path(run) / EVENTS_FILE)),
        vitals_of_run(run),
        verdicts_section(_findings(trained) if doctor else NOT_LOOKED),
        samples_section(trained, seed, lines),
        embeddings_section(trained),
        run_section(trained, step, count_looks(run), record.run.moreish),
    )
    return Report(trained.recipe.model, trained.corpus.name, str(run), summary(trained), sections)


def _findings(trained: Trained) -> Sequence[Finding] | str:
    """What the doctor says of the same training, or why it does not look into it."""
    try:
        return diagnose(trained).findings
    except ConfigError as error:
        return f"{error}"
    except MoreishError as error:
        return f"The doctor could not run it again: {error}"
