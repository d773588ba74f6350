"""Measure the speed of Moreish, row by row, beside its references; print a table and write out/bench.json.

    python bench/run.py                 everything, in less than 20 minutes
    python bench/run.py --only help     one row (or all whose id begins so); the others keep their last figures
    python bench/run.py --list          the rows and what is asked of each
    python bench/run.py --write-docs    put the figures of out/bench.json into docs/results.md; measures nothing

NAMES names the list that the figures are about, by default ../shared/data/names.txt beside the repository; MAKEMORE_DIR
a checkout of makemore.py, the reference of the networks. A row whose list or reference is not here says so, and does
not count as holding.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from report import asked, judge, read_results, show, write_docs, write_results
from rows import OF_NAMES, ROWS, Row
from timing import Absent, measure, pin

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "out" / "bench.json"
LISTS = ROOT / "out" / "bench-lists"
DOCS = ROOT / "docs" / "results.md"
AT_MOST = 1_200
"""Seconds for all rows together."""
ROW_AT_MOST = 400


class Bench:
    """One call of the program: the lists that were made, what was measured once for several rows, and the time left."""

    def __init__(self, names: Path):
        self.names = names
        self.ends = time.monotonic() + AT_MOST
        self.measured: dict[tuple[str, tuple[str, ...]], Any] = {}

    def measure(self, row: Row) -> dict[str, Any]:
        """A row's figures as they stand in out/bench.json."""
        key = (row.measure, row.lists)
        try:
            if key not in self.measured:
                lists = {name: self.list_of(name) for name in row.lists}
                self.measured[key] = measure(row.measure, lists, self.time_left())
            found = self.measured[key]
        except (Absent, RuntimeError) as error:
            self.measured[key] = error
            found = error
        if isinstance(found, Exception):
            why = f"not measured: {found}" if isinstance(found, Absent) else f"FAILED: {found}"
            return judge(row, None, why, str(date.today()))
        return judge(row, found[row.figure] if row.figure else found, "", str(date.today()))

    def list_of(self, name: str) -> str:
        """The path of a list, made now if it is one of those that are."""
        if name in OF_NAMES and not self.names.is_file():
            raise Absent(f"there is no {os.path.relpath(self.names)}; name your list: NAMES=names.txt")
        if name == "names":
            return str(self.names)
        path = LISTS / f"{name}.txt"
        if not path.exists():
            LISTS.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            measure("lists:make", {"make": name, "to": str(unfinished), "names": str(self.names)}, self.time_left())
            unfinished.rename(path)
        return str(path)

    def time_left(self) -> float:
        left = min(ROW_AT_MOST, self.ends - time.monotonic())
        if left < 1:
            raise RuntimeError(f"no time left: {AT_MOST // 60} minutes have gone by")
        return left


def main() -> int:
    """Returns the exit code: 1 where a row failed, not where it was too slow."""
    parser = argparse.ArgumentParser(description="Measure the speed of Moreish beside its references.")
    parser.add_argument("--only", metavar="ID", action="append", help="this row, or those whose id begins so")
    parser.add_argument("--list", action="store_true", help="say which rows there are")
    parser.add_argument("--write-docs", action="store_true", help="put out/bench.json into docs/results.md")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    if arguments.list:
        for row in ROWS:
            print(f"{row.id:34} {asked(row)}")
        return 0
    if arguments.write_docs:
        if not RESULTS.exists():
            parser.error("there is no out/bench.json; measure first")
        write_docs(DOCS, read_results(RESULTS))
        return 0
    rows = [row for row in ROWS if not arguments.only or any(row.id.startswith(only) for only in arguments.only)]
    if not rows:
        parser.error(f"no row's id begins with {' or '.join(arguments.only)}; --list says which there are")
    pin()
    names = Path(os.environ.get("NAMES") or "../shared/data/names.txt")
    bench = Bench((ROOT / names).resolve())
    kept = {row["id"]: row for row in read_results(RESULTS)} if arguments.only else {}
    began = time.monotonic()
    try:
        for row in rows:
            console.print(f"[dim]{time.monotonic() - began:5.0f} s  {row.id}[/dim]")
            kept[row.id] = bench.measure(row)
            write_results(RESULTS, [kept[row.id] for row in ROWS if row.id in kept])
    finally:
        shutil.rmtree(LISTS, ignore_errors=True)
    measured = [kept[row.id] for row in rows]
    show(console, measured)
    console.print(f"{time.monotonic() - began:.0f} s in all; written to out/bench.json")
    return int(any(row["note"].startswith("FAILED") for row in measured))


if __name__ == "__main__":
    sys.exit(main())
