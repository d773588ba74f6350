"""The doctor of trainings, measured: planted faults, healthy trainings, and what its fixes repair.

    python bench/doctor.py                  run what has no result yet, then print the table (about an hour of one core)
    python bench/doctor.py --quick          one seed of each fault in one model and ten healthy trainings; keeps nothing
    python bench/doctor.py --share 1/2      the first half of the cases; two of these fill two cores
    python bench/doctor.py --show           print the table of what there is
    python bench/doctor.py --write-docs     put it into docs/results.md

A result belongs to a case and to the doctor's source. Detected: the doctor found anything at all. Right: it named the
planted fault first. Repaired: after the fix the loss on dev is within what 20 healthy trainings of that model reach
(their mean and 95 % prediction interval; for what is wrong with dev itself on both sides, else only upwards). The fix
is ours, none, or one drawn from the same menu whatever the doctor says.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from doctor_cases import FIRST_SEED, SEEDS, Case, at_random, base_of, cases, healthy, is_deep, models_of
from moreish.learning.doctor.course import run
from moreish.learning.doctor.diagnosis import first_of, prescribed
from moreish.learning.doctor.faults import FAULTS
from moreish.learning.doctor.rules import judge
from moreish.learning.doctor.setup import Setup
from moreish.storage import append_line, read_journal
from report import put_between
from results import ROOT, commit

DOCS = ROOT / "docs" / "results.md"
BEGIN = "<!-- doctor: written by `python bench/doctor.py --write-docs`, not by hand -->"
END = "<!-- end of the doctor -->"
JOURNAL = ROOT / "bench" / "doctor.jsonl"
SOURCE = ROOT / "src" / "moreish" / "learning"
DETECTED, RIGHT, FALSE_ALARMS = 0.95, 0.85, 0.02
"""What is asked: at least, at least, at most."""
ABOUT_DEV = ("leaking-split", "dev-prepared-differently")
"""Faults that make dev easier or harder than it is: a repaired one is neither."""
T_19 = 2.093
"""Student's t for 95 % of 20 trainings."""
HEADINGS = ("fault", "models", "trainings", "detected", "right first", "repaired: ours", "none", "random")
QUICK_HEALTHY = 10

Row = dict[str, Any]


def source_hash() -> str:
    """The doctor's version: its files, and those that measure for it."""
    whole = hashlib.sha256()
    for path in [*sorted((SOURCE / "doctor").glob("*.py")), SOURCE / "watch.py", SOURCE / "vitals.py"]:
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


def examine(case: Case) -> Row:
    """A planted fault: what the doctor says of it, and what three ways of mending come to."""
    setup = case.fault.plant(base_of(case)) if case.fault.plant else base_of(case)
    course = run(setup)
    findings = judge(course.evidence)
    mended = first_of(prescribed(findings[:1], setup), setup)
    drawn = at_random(case)
    other = drawn.mend(setup)
    return {
        "case": case.key, "found": [f.fault for f in findings], "confidence": [f.confidence for f in findings],
        "fixed": mended.finding.fault if mended else None, "random": drawn.name,
        "none": known(course.dev),
        "ours": known(run(mended.mended, observed=False).dev) if mended else known(course.dev),
        "drawn": known(run(other, observed=False).dev) if other != setup else known(course.dev),
    }  # fmt: skip


def known(x: float) -> float | None:
    """For JSON, which has no infinity."""
    return x if math.isfinite(x) else None


class Journal:
    """Results so far, one line each, by case, of the doctor as it stands."""

    def __init__(self, path: Path = JOURNAL):
        self.path, self.version = path, source_hash()
        rows = read_journal(path)[0] if path.exists() else []
        self.rows: dict[str, Row] = {row["case"]: row for row in rows if row["doctor"] == self.version}

    def once(self, key: str, make: Callable[[], Row]) -> Row:
        """The result of a case, found or made."""
        if key not in self.rows:
            began = time.process_time()
            row = {**make(), "core_seconds": round(time.process_time() - began, 2)}
            self.rows[key] = {**row, "doctor": self.version, "commit": commit()}
            with self.path.open("a") as handle:  # another share may be writing, and appending is for one at a time
                fcntl.flock(handle, fcntl.LOCK_EX)
                append_line(self.path, json.dumps(self.rows[key]))
        return self.rows[key]


def base_key(model: str, is_deeper: bool, seed: int) -> str:
    """The name of a healthy training that planted ones are held against."""
    return f"base/{model}{'-deep' if is_deeper else ''}/{seed}"


def spread(rows: dict[str, Row], case: Case) -> tuple[float, float] | None:
    """Between which losses another healthy training of that model would end, 95 times in 100."""
    keys = [base_key(case.model, is_deep(case.fault), FIRST_SEED + i) for i in range(SEEDS)]
    losses = [rows[key]["none"] for key in keys if key in rows]
    if len(losses) < SEEDS:
        return None
    wide = T_19 * statistics.stdev(losses) * math.sqrt(1 + 1 / len(losses))
    return statistics.fmean(losses) - wide, statistics.fmean(losses) + wide


def repaired(case: Case, loss: float | None, within: tuple[float, float]) -> bool:
    """Whether a training ended as a healthy one does."""
    if loss is None or loss > within[1]:
        return False
    return case.fault.name not in ABOUT_DEV or loss >= within[0]


def interval(share: float, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    z = 1.96
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    wide = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - wide), min(1.0, middle + wide)


def work(journal: Journal, share: tuple[int, int], tell: Callable[[str], None]) -> None:
    """Run whatever has no result yet, in the share of it that is asked for."""
    part, of = share
    todo: list[tuple[str, Callable[[], Row]]] = []
    for key, setup in healthy():
        todo.append((key, lambda key=key, setup=setup: health(key, setup)))
    bases = {(case.model, is_deep(case.fault), case.seed): case for case in cases()}
    for (model, is_deeper, seed), case in bases.items():
        key = base_key(model, is_deeper, seed)
        todo.append(
            (key, lambda key=key, case=case: {"case": key, "none": known(run(base_of(case), observed=False).dev)})
        )
    for case in cases():
        todo.append((case.key, lambda case=case: examine(case)))
    mine = todo[part - 1 :: of]
    for i, (key, make) in enumerate(mine):
        if key not in journal.rows:
            row = journal.once(key, make)
            tell(f"{i + 1:,} of {len(mine):,}  {key}  {', '.join(row.get('found', [])) or 'nothing found'}")


def health(key: str, setup: Setup) -> Row:
    """A healthy training: what the doctor says of it all the same."""
    findings = judge(run(setup).evidence)
    return {"case": key, "found": [f.fault for f in findings], "evidence": [f.evidence for f in findings]}


def figures(rows: dict[str, Row]) -> tuple[list[list[str]], list[str]]:
    """The table's rows, a fault each, and the sentences below it."""
    table, totals = [], {"n": 0, "detected": 0, "right": 0, "ours": 0, "none": 0, "drawn": 0, "measured": 0}
    for fault in FAULTS.values():
        mine = [case for case in cases() if case.fault is fault and case.key in rows]
        if not mine:
            continue
        detected = sum(bool(rows[case.key]["found"]) for case in mine)
        right = sum(rows[case.key]["found"][:1] == [fault.name] for case in mine)
        within = {case.key: spread(rows, case) for case in mine}
        measured = [case for case in mine if within[case.key] is not None]
        cured = {
            how: sum(repaired(case, rows[case.key][how], within[case.key] or (0, 0)) for case in measured)
            for how in ("ours", "none", "drawn")
        }
        table.append([
            fault.name, ", ".join(models_of(fault)), str(len(mine)), share_of(detected, len(mine)),
            share_of(right, len(mine)), *(share_of(cured[how], len(measured)) for how in ("ours", "none", "drawn")),
        ])  # fmt: skip
        for name, count in (("n", len(mine)), ("detected", detected), ("right", right), ("measured", len(measured))):
            totals[name] += count
        for how, count in cured.items():
            totals[how] += count
    return table, sentences(totals, rows)


def sentences(totals: dict[str, int], rows: dict[str, Row]) -> list[str]:
    """What it comes to, with what is asked."""
    n, m = totals["n"], totals["measured"]
    said = []
    if n:
        said += [
            f"Detected: {with_interval(totals['detected'], n)} of {n:,} planted trainings; asked at least "
            f"{100 * DETECTED:.0f} %.",
            f"Right fault first: {with_interval(totals['right'], n)}; asked at least {100 * RIGHT:.0f} %.",
        ]
    well = [row for key, row in rows.items() if key.startswith("healthy/")]
    if well:
        alarms = [row for row in well if row["found"]]
        said.append(
            f"False alarms: {with_interval(len(alarms), len(well))} of {len(well)} healthy trainings; asked at most "
            f"{100 * FALSE_ALARMS:.0f} %."
        )
        said += [f"  {row['case']}: {', '.join(row['found'])}" for row in alarms]
    if m:
        ways = (("our fix", "ours"), ("none", "none"), ("a random one of the same menu", "drawn"))
        said.append(
            "Repaired by " + ", by ".join(f"{name}: {with_interval(totals[how], m)}" for name, how in ways) + "."
        )
    return said


def share_of(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %" if of else ""


def with_interval(count: int, of: int) -> str:
    low, high = interval(count / of, of)
    return f"{100 * count / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def show(console: Console, table: Iterable[list[str]], said: list[str]) -> None:
    """The table in the terminal."""
    drawn = Table(*HEADINGS, box=None, header_style="bold")
    for row in table:
        drawn.add_row(*row)
    console.print(drawn)
    for sentence in said:
        console.print(sentence, highlight=False)


def quick(console: Console) -> int:
    """One training of each fault, in one model, and a few healthy ones: whether it all works, in a minute or two."""
    wrong = 0
    for name, fault in FAULTS.items():
        if fault.plant is None:
            continue
        case = Case(fault, models_of(fault)[0], FIRST_SEED)
        findings = judge(run(fault.plant(base_of(case))).evidence)
        right = bool(findings) and findings[0].fault == name
        wrong += not right
        said = f"{findings[0].evidence} ({100 * findings[0].confidence:.0f} %)" if findings else "nothing found"
        console.print(
            f"{'right' if right else 'WRONG'}  {name} in {case.model}: {said}", highlight=False, soft_wrap=True
        )
    for key, setup in healthy(QUICK_HEALTHY):
        found = health(key, setup)["found"]
        wrong += bool(found)
        console.print(
            f"{'right' if not found else 'WRONG'}  {key}: {', '.join(found) or 'no fault found'}", highlight=False
        )
    console.print(f"{wrong} wrong.", highlight=False)
    return int(wrong > 0)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the doctor of trainings.")
    parser.add_argument("--quick", action="store_true", help="one seed of each fault; keeps nothing")
    parser.add_argument("--share", metavar="K/N", default="1/1", help="the K-th of N parts of the cases")
    parser.add_argument("--show", action="store_true", help="print the table of what there is")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if arguments.quick:
        return quick(console)
    journal = Journal()
    if not (arguments.show or arguments.write_docs):
        part, _, of = arguments.share.partition("/")
        work(journal, (int(part), int(of or 1)), lambda text: console.print(f"[dim]{text}[/dim]", highlight=False))
        journal = Journal()
    table, said = figures(journal.rows)
    if arguments.write_docs:
        lines = [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS), *(f"| {' | '.join(r)} |" for r in table)]
        put_between(DOCS, BEGIN, END, [*lines, "", *(f"- {text.strip()}" for text in said)])
    show(console, table, said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
