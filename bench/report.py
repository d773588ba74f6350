"""Judging what was measured, and showing it: the table in the terminal, out/bench.json, docs/results.md."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from rows import ROWS, Row

BEGIN = "<!-- measured: written by `python bench/run.py --write-docs`, not by hand -->"
SHARED = 1.15
"""Seconds on the clock for each one at work, from which on a row says that other programs were at work too."""
END = "<!-- end of what was measured -->"


def judge(row: Row, measured: dict[str, Any] | None, why_not: str, on: str) -> dict[str, Any]:
    """A row as it stands in out/bench.json: medians of the repeats, and of the ratios of each repeat.

    `holds` is None where nothing is asked, and False where nothing could be measured.
    """
    ours = measured["ours"] if measured else []
    reference = measured["reference"] if measured else []
    ratios = [b / a if row.of == "sooner" else a / b for a, b in zip(ours, reference)]
    ratio = median(ratios) if ratios else None
    at_most = measured["at_most"] if measured and row.limit_follows else row.at_most
    judged = (median(ours) if row.of == "ours" else ratio) if measured else None
    is_asked = row.at_least is not None or row.at_most is not None or row.limit_follows
    notes = [why_not or (measured or {}).get("note", "")]
    if measured and measured["clock"] > SHARED:
        notes.append(f"the core was shared: {measured['clock']:.1f} s went by for each second that it worked for us")
    return {
        "id": row.id,
        "what": row.what,
        "ours": median(ours) if ours else None,
        "reference": median(reference) if reference else None,
        "reference_is": row.reference,
        "unit": row.unit,
        "ratio": ratio,
        "of": row.of,
        "at_least": row.at_least,
        "at_most": at_most,
        "aim": row.aim,
        "holds": _holds(judged, row.at_least, at_most) if is_asked else None,
        "repeats": len(ours),
        "on": on,
        "note": "; ".join(note for note in notes if note),
    }


def _holds(value: float | None, at_least: float | None, at_most: float | None) -> bool:
    if value is None:
        return False
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)


def asked(row: Row) -> str:
    """What is asked of a row, in words."""
    if row.limit_follows:
        return "at most 2.5 times the tables + 200 MB"
    return _asked(row.at_least, row.at_most, row.of, row.unit, row.aim)


def _asked(at_least: float | None, at_most: float | None, of: str, unit: str, aim: float | None) -> str:
    unit = {"ratio": "x the reference", "sooner": "x sooner"}.get(of, unit)
    aimed = "" if aim is None else f" (aim {_figure(aim)})"
    if at_least is not None:
        return f"at least {_figure(at_least)} {unit}{aimed}"
    return "nothing, for information" if at_most is None else f"at most {_figure(at_most)} {unit}{aimed}"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _verdict(row: dict[str, Any]) -> str:
    if row["ours"] is None:
        return "failed" if row["note"].startswith("FAILED") else "not measured"
    return {True: "yes", False: "NO", None: "–"}[row["holds"]]


def _cells(row: dict[str, Any]) -> list[str]:
    ours = f"{_figure(row['ours'])} {row['unit']}" if row["ours"] is not None else "–"
    ratio = f"{_figure(row['ratio'])} x" if row["ratio"] is not None else ""
    reference = _figure(row["reference"]) if row["reference"] is not None else ""
    limit = "–"
    if row["holds"] is not None:
        limit = _asked(row["at_least"], row["at_most"], row["of"], row["unit"], row.get("aim"))
    if row["holds"] is False and row["at_least"] is row["at_most"] is None:
        limit = "at most 2.5 times the tables + 200 MB"
    return [ours, reference, ratio, limit, _verdict(row)]


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """The table in the terminal."""
    table = Table("row", "ours", "reference", "ratio", "asked", "holds", box=None, header_style="bold")
    for row in rows:
        verdict = _verdict(row)
        style = {"yes": "green", "–": "dim"}.get(verdict, "bold red")
        *cells, _ = _cells(row)
        table.add_row(row["id"], *cells, f"[{style}]{verdict}[/{style}]")
    console.print(table)
    for row in rows:
        if row["note"]:
            console.print(f"[dim]{row['id']}: {row['note']}[/dim]", highlight=False)
    holding = sum(row["holds"] is True for row in rows)
    console.print(f"{holding} of {sum(row['holds'] is not None for row in rows)} rows hold.")


def read_results(path: Path) -> list[dict[str, Any]]:
    """The rows of an earlier out/bench.json, if there is one."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """out/bench.json: a list of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_docs(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put the figures between the marks of docs/results.md; the rest of it is written by hand."""
    order = [row.id for row in ROWS]
    rows = sorted((row for row in rows if row["id"] in order), key=lambda row: order.index(row["id"]))
    days = sorted({row["on"] for row in rows})
    lines = [
        f"Measured on {' and '.join(days)}: {machine()}.",
        "",
        "| row | ours | reference | ratio | asked | holds |",
        "|---|---|---|---|---|---|",
        *(f"| {row['id']} | {' | '.join(_cells(row))} |" for row in rows),
        "",
        *(f"- **{row['id']}**: {_said(row)}" for row in rows),
    ]
    put_between(path, BEGIN, END, lines)


def put_between(path: Path, begin: str, end: str, lines: list[str]) -> None:
    """Put lines between two marks of a page, in place of what stood there."""
    before, there, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    assert there and closed, f"{path.name} has no {begin} … {end}"
    path.write_text("\n".join([before + begin, "", *lines, "", end]) + after, encoding="utf-8")


def _said(row: dict[str, Any]) -> str:
    against = f", against {row['reference_is']}" if row["reference_is"] else ""
    note = f" ({row['note']})" if row["note"] else ""
    return f"{row['what']}{against}; {row['repeats']} {'repeat' if row['repeats'] == 1 else 'repeats'}{note}."


def machine() -> str:
    """This machine in words."""
    name, wide = platform.machine(), ""
    told = Path("/proc/cpuinfo")
    if told.exists():
        text = told.read_text()
        names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
        name = names[0] if names else name
        wide = " with AVX-512" if "avx512f" in text else ""
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "numpy"))
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"one core of {os.cpu_count()}, {name}{wide}; {system}, {versions}"
