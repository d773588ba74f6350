"""The report's sections on vitals and verdicts: what those who measure them found, as sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moreish.errors import RunError
from moreish.learning.doctor.finding import Finding
from moreish.learning.normal import NORMS, PARAMETERS, SITES, rate_said
from moreish.learning.vitals import Vitals
from moreish.runs.reporting.section import POWER, Column, Figure, Picture, Remark, Section, Table, sentence
from moreish.runs.vitals import WatchedRun, vitals
from moreish.text.alphabet import printable

VITALS = ("vitals", "Its vitals", "What passed through the network while it learnt, and what came back.")
VERDICTS = ("verdicts", "Verdicts", "What the training doctor found: the fault, by which number, and what mends it.")
NOT_LOOKED = "The training doctor was not asked."


@dataclass(frozen=True)
class Watched:
    """What is drawn of a run's vitals: its readings."""

    run: WatchedRun

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: when they were taken, update:data over the steps, and the last reading."""
        now = self.run.at()
        return {
            "readings": [one.step for one in self.run.readings],
            "update_to_data": {
                each.name: [one.parameters[i].update_to_data for one in self.run.readings]
                for i, each in enumerate(now.parameters)
            },
            "last": now.to_dict(),
        }


def vitals_of_run(where: str | Path) -> Section:
    """The vitals that a run kept, or why it kept none.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        return vitals_section(vitals(where))
    except RunError as error:
        return Section(*VITALS, missing=sentence(str(error), printable(str(where))))


def vitals_section(found: WatchedRun) -> Section:
    """The last vitals as tables, and what is drawn of all of them."""
    now = found.at()
    figures = (
        Figure("watched", "watched", len(found.readings), "times", "How often its vitals were taken while it learnt."),
        Figure("step", "at step", now.step, "", "The tables are of this step."),
    )
    sentence = (
        "Each row is a layer, from the first to the last. Normal: activations and gradients as wide in every layer, "
        "few tanh at their ends, update:data near -3."
    )
    picture = Picture("watched", "vitals", "Layer by layer, and over the steps", sentence, Watched(found))
    tables = tuple(
        table for table in (_sites(now), _parameters(now, found.rate_share(now.step)), _norms(now)) if table.rows
    )
    remarks = (Remark("warning", found.torn_said),) if found.torn else ()
    return Section(*VITALS, remarks, figures, tables, (picture,))


def verdicts_section(findings: Sequence[Finding] | str) -> Section:
    """What the doctor found, most likely first; or why it has not looked, in a sentence."""
    if isinstance(findings, str):
        return Section(*VERDICTS, missing=findings)
    count = Figure("faults", "faults", len(findings), "", "How many faults the doctor names; none is the best of them.")
    if not findings:
        return Section(*VERDICTS, (Remark("good", "No fault found."),), (count,))
    columns = (
        Column("fault", "fault", "What is wrong, by its name."),
        Column("where", "where", "The layer, parameter or part of the list."),
        Column("evidence", "evidence", "What shows it."),
        Column("number", "number", "The number in it.", "", 3),
        Column("threshold", "threshold", "The number that it is held against.", "", 3),
        Column("confidence", "confidence", "How sure the doctor is.", "share"),
        Column("fix", "fix", "The smallest thing that mends it: a flag or a line of code."),
    )
    rows = tuple((f.fault, f.where, f.evidence, f.number, f.threshold, f.confidence, f.fix) for f in findings)
    remark = Remark("warning", f"Most likely: {findings[0].fault}. {findings[0].fix}")
    return Section(*VERDICTS, (remark,), (count,), (Table("findings", "Most likely first", columns, rows),))


def _sites(vitals: Vitals) -> Table:
    columns = (
        Column("site", "site", "Where in the network."),
        Column("mean", "mean", SITES["mean"], "", 3),
        Column("deviation", "deviation", SITES["deviation"], "", 3),
        Column("saturated", "saturated", SITES["saturated"], "share"),
        Column("dead", "dead", SITES["dead"], "share"),
        Column("gradient", "gradient", SITES["gradient"], "", POWER),
    )
    rows = tuple(
        (
            site.site, site.activation.mean, site.activation.deviation, site.saturated, site.dead,
            None if site.gradient is None else site.gradient.deviation,
        )
        for site in vitals.sites
    )  # fmt: skip
    return Table("sites", "Activations and their gradients", columns, rows)


def _parameters(vitals: Vitals, lr_share: float) -> Table:
    columns = (
        Column("parameter", "parameter", "Its name in the model."),
        Column("data", "deviation", PARAMETERS["deviation"], "", 4),
        Column("gradient_to_data", "gradient:data", PARAMETERS["gradient:data"], "", POWER),
        Column("update_to_data", "update:data", PARAMETERS["update:data"], "", 2),
    )
    rows = tuple((p.name, p.data.deviation, p.gradient_to_data, p.update_to_data) for p in vitals.parameters)
    return Table("parameters", "Parameters and what changes them", columns, rows, rate_said(lr_share))


def _norms(vitals: Vitals) -> Table:
    columns = (
        Column("site", "BatchNorm", "Which."),
        Column("mean_apart", "means apart", NORMS["apart"], "", 3),
        Column("deviation_ratio", "deviations", NORMS["ratio"], "", 3),
    )
    rows = tuple((norm.site, norm.mean_apart, norm.deviation_ratio) for norm in vitals.norms)
    return Table("norms", "BatchNorm: the batch against what is kept", columns, rows)
