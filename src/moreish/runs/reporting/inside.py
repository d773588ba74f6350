"""The report's sections on vitals and verdicts: what those who measure them give, as sections.

Both take plain values, as they stand in a run's events and in JSON, so that a run of any version can be told of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moreish.errors import RunError
from moreish.runs.reporting.section import Column, Figure, Picture, Remark, Section, Table, Value
from moreish.runs.vitals import WatchedRun, vitals

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
        found = vitals(where)
    except RunError as error:
        said = str(error)
        return vitals_section([], said[:1].upper() + said[1:])
    sentence = (
        "Each row is a layer, from the first to the last. Normal: activations and gradients as wide in every layer, "
        "few tanh at their ends, update:data near -3."
    )
    picture = Picture("watched", "vitals", "Layer by layer, and over the steps", sentence, Watched(found))
    return vitals_section([one.to_dict() for one in found.readings], pictures=(picture,))


def vitals_section(
    readings: Sequence[Mapping[str, Any]], missing: str = "", pictures: tuple[Picture, ...] = ()
) -> Section:
    """The last vitals that were written down, as tables, and what is drawn of all of them.

    Args:
        readings: oldest first, each as `Vitals.to_dict()` has it: step, loss, unsure, sites, parameters, norms.
        missing: why there are none, where there are none.
    """
    if not readings:
        return Section(*VITALS, missing=missing)
    last = readings[-1]
    step = _number(last.get("step"))
    figures = (
        Figure("watched", "watched", len(readings), "times", "How often its vitals were taken while it learnt."),
        Figure(
            "step", "at step", step, "", "The tables are of this step.", "" if step is not None else "It is not said."
        ),
    )
    tables = [table for table in (_sites(last), _parameters(last), _norms(last)) if table.rows]
    return Section(*VITALS, figures=figures, tables=tuple(tables), pictures=pictures)


def verdicts_section(findings: Sequence[Mapping[str, Any]] | str) -> Section:
    """What the doctor found, most likely first; or why it has not looked, in a sentence.

    Args:
        findings: each with fault, where, evidence, number, threshold, confidence and fix.
    """
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
    rows = tuple(tuple(_value(finding.get(column.name)) for column in columns) for finding in findings)
    remark = Remark(
        "warning", f"Most likely: {_value(findings[0].get('fault'))}. {_value(findings[0].get('fix')) or ''}"
    )
    return Section(*VERDICTS, (remark,), (count,), (Table("findings", "Most likely first", columns, rows),))


def _sites(vitals: Mapping[str, Any]) -> Table:
    columns = (
        Column("site", "site", "Where in the network."),
        Column("mean", "mean", "Of what it gives. Normal: near 0 for tanh.", "", 3),
        Column("deviation", "deviation", "Of what it gives. Normal: alike from layer to layer.", "", 3),
        Column("saturated", "saturated", "Share of tanh beyond ±0.97, where little gradient passes. Normal: below 5 %.",
               "share"),
        Column("dead", "dead", "Share of units through which no gradient of the batch passed. Normal: 0 %.", "share"),
        Column("gradient", "gradient", "Deviation of the gradient that came back. Normal: alike from layer to layer.",
               "", 6),
    )  # fmt: skip
    rows = tuple(
        (
            str(site.get("site")), _of(site, "activation", "mean"), _of(site, "activation", "deviation"),
            _number(site.get("saturated")), _number(site.get("dead")), _of(site, "gradient", "deviation"),
        )
        for site in vitals.get("sites") or ()
    )  # fmt: skip
    return Table("sites", "Activations and their gradients", columns, rows)


def _parameters(vitals: Mapping[str, Any]) -> Table:
    columns = (
        Column("parameter", "parameter", "Its name in the model."),
        Column("data", "deviation", "Of its values.", "", 4),
        Column("gradient_to_data", "gradient:data", "The gradient's deviation over the values'.", "", 5),
        Column("update_to_data", "update:data", "log10 of the real change over the values. Normal: about -3.", "", 2),
    )
    rows = tuple(
        (
            str(one.get("name")), _of(one, "data", "deviation"), _number(one.get("gradient_to_data")),
            _number(one.get("update_to_data")),
        )
        for one in vitals.get("parameters") or ()
    )  # fmt: skip
    return Table("parameters", "Parameters and what changes them", columns, rows)


def _norms(vitals: Mapping[str, Any]) -> Table:
    columns = (
        Column("site", "BatchNorm", "Which."),
        Column("mean_apart", "means apart", "Batch against kept, in kept deviations. Normal: well below 1.", "", 3),
        Column("deviation_ratio", "deviations", "The batch's over the kept. Normal: near 1.", "", 3),
    )
    rows = tuple(
        (str(norm.get("site")), _number(norm.get("mean_apart")), _number(norm.get("deviation_ratio")))
        for norm in vitals.get("norms") or ()
    )
    return Table("norms", "BatchNorm: the batch against what is kept", columns, rows)


def _of(values: Mapping[str, Any], *path: str) -> Value:
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return _number(found)


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _value(value: Any) -> Value:
    """A finding's entry as a value of a table: whatever is no number or text is written out."""
    if value is None or isinstance(value, (str, bool)):
        return value
    number = _number(value)
    return number if number is not None else str(value)
