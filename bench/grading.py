"""The grader of exercises, measured: mistakes made on purpose, and right solutions written differently.

    python bench/grading.py                   grade what has no result yet, then print the table
    python bench/grading.py --final           100 more, of a seed drawn then, against the grader as it is committed
    python bench/grading.py --show            print the table of what there is; grades nothing
    python bench/grading.py --write-docs      put it into docs/results.md; grades nothing

A result belongs to a file and to the grader's source: a changed grader is measured anew. Stopped, it goes on where it
was. Each mutant is one change to a solved exercise, wrong by torch's autograd in float64 at the changed node and at
none before it. Located: the grader's first wrong node is that one. Its cause counts only there; `unknown` is a half.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from grading_tasks import Task, Tell, draw, pool, right_files
from moreish.storage import append_line, read_journal
from mutants import KINDS
from report import put_between
from results import ROOT, commit
from solved import Bench, Unfit, Values

DOCS = ROOT / "docs" / "results.md"
BEGIN = "<!-- grading: written by `python bench/grading.py --write-docs`, not by hand -->"
END = "<!-- end of the grading -->"
JOURNAL = ROOT / "bench" / "grading.jsonl"
"""Kept with the project, for the seed of the last hundred stands in it too."""
EXPLAINING = ROOT / "src" / "moreish" / "explaining"
SEED = 0
LOCATED = 0.95
CAUSED = 0.85
"""What is asked of both stages together and of the last hundred alone; of right files, none may be refused."""
HEADINGS = ("kind", "cause that counts", "mutants", "located", "cause right", "of the last", "located", "cause right")

Grade = Callable[[Path], Any]
"""Grades a file: gives an object with status, first_wrong, cause and message."""
Row = dict[str, Any]


def grader_files(folder: Path = EXPLAINING, starts: tuple[str, ...] = ("exercises", "grading")) -> list[Path]:
    """The files that make exercises and grader: those two modules or packages, and what they name of their room."""
    found: set[Path] = set()
    asked = list(starts)
    while asked:
        name = asked.pop()
        inner = folder.joinpath(*name.split("."))
        paths = [*inner.rglob("*.py"), *inner.parent.glob(f"{inner.name}.py")]
        for path in set(paths) - found:
            found.add(path)
            text = path.read_text(encoding="utf-8")
            asked += re.findall(r"moreish\.explaining\.([\w.]+)", text) + re.findall(r"(\w+)\.py\b", text)
            for names in re.findall(r"from moreish\.explaining import \(?([\w, \n]+)", text):
                asked += re.findall(r"\w+", names)
        if not paths and "." in name:  # a name within a module
            asked.append(name.rpartition(".")[0])
    return sorted(found)


def grader_hash(files: Iterable[Path]) -> str:
    """The grader's version: a hash of its files' names and contents."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


class Journal:
    """Results so far, one line each."""

    def __init__(self, path: Path = JOURNAL) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        """All of them, oldest first."""
        return read_journal(self.path)[0] if self.path.exists() else []

    def add(self, row: Row) -> None:
        """Append one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, json.dumps(row, ensure_ascii=False))


def judge(task: Task, said: Any) -> Row:
    """A line of the journal: what was asked, what the grader said, and whether that is right."""
    status, first, cause, message = (
        str(getattr(said, n, "") or "") for n in ("status", "first_wrong", "cause", "message")
    )
    located = status == "wrong" and first in (task.node, task.node[1:])
    score = 0.0
    if located:
        score = 1.0 if cause in task.causes else 0.5 if cause == "unknown" else 0.0
    if task.stage == "broken":  # named by its line, or seen through all the same
        located = bool(re.search(rf"\bline {task.line}\b", message)) or located
    return {
        "stage": task.stage, "exercise": task.exercise, "kind": task.kind, "node": task.node, "line": task.line,
        "what": task.what, "causes": task.causes, "status": status, "first_wrong": first, "cause": cause,
        "message": message if status in ("broken", "crashed") else "", "located": located, "score": score,
        "refused": status != "right",
    }  # fmt: skip


class Crashed:
    """What stands for the grader's answer where it raised something."""

    status = "crashed"

    def __init__(self, error: Exception) -> None:
        self.message = f"{type(error).__name__}: {error}"


def campaign(tasks: list[Task], grade: Grade, grader: str, journal: Journal, tell: Tell) -> int:
    """Grade what has no result yet; returns how many that were."""
    done = {(row["key"], row["grader"], row["stage"]) for row in journal.rows() if "key" in row}
    left = [task for task in tasks if (task.key, grader, task.stage) not in done]
    for number, task in enumerate(left, 1):
        path = Path(tempfile.gettempdir()) / f"{task.exercise}_{task.key}_{os.getpid()}.py"
        path.write_text(task.source, encoding="utf-8")
        began = time.perf_counter()
        try:
            said = grade(path)
        except Exception as error:  # a grader must not raise: this is counted against it
            said = Crashed(error)
        row = {"key": task.key, "grader": grader, **judge(task, said), "seconds": round(time.perf_counter() - began, 3)}
        journal.add(row)
        path.unlink()
        if number % 25 == 0 or number == len(left):
            tell(f"{task.stage}: {number} of {len(left)} graded")
    return len(left)


def of_stage(rows: list[Row], stage: str, grader: str) -> list[Row]:
    """The results of a stage for this version of the grader."""
    return [row for row in rows if row.get("grader") == grader and row["stage"] == stage and "key" in row]


def share(rows: list[Row], name: str) -> float:
    """The mean of what is counted; 0 without rows."""
    return sum(float(row[name]) for row in rows) / len(rows) if rows else 0.0


def lines(rows: list[Row], grader: str) -> list[list[str]]:
    """The table's rows, in the order of HEADINGS; the last is all kinds together."""
    first, last = (of_stage(rows, stage, grader) for stage in ("mutants", "final"))

    def cells(kind: str | None) -> list[str]:
        found = []
        for stage in (first, last):
            of_kind = [row for row in stage if kind in (None, row["kind"])]
            shown = [f"{100 * share(of_kind, name):.1f} %" for name in ("located", "score")] if of_kind else ["", ""]
            found += [str(len(of_kind)), *shown]
        return found

    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in first + last)]
    table = [[kind, ", ".join(sorted(KINDS[kind][0])), *cells(kind)] for kind in kinds]
    return [*table, ["all", f"asked: {LOCATED:.0%} located, {CAUSED:.0%} by cause", *cells(None)]]


def words(rows: list[Row], grader: str) -> list[str]:
    """What stands below the table."""
    right, broken = (of_stage(rows, stage, grader) for stage in ("variants", "broken"))
    said = [
        f"Right solutions written differently: {len(right)}, of which {sum(r['refused'] for r in right)} were refused."
    ]
    if broken:
        named = sum(row["located"] for row in broken)
        said.append(f"Mutants that cannot be run: {len(broken)}; the line was named for {named}.")
    mutants = of_stage(rows, "mutants", grader) + of_stage(rows, "final", grader)
    unknown = sum(row["located"] and row["cause"] == "unknown" for row in mutants)
    wrongly = sum(row["located"] and row["score"] == 0 for row in mutants)
    said.append(
        f"Of {len(mutants)} mutants the cause was unknown for {unknown}, and a wrong one was named for {wrongly}."
    )
    frozen = [row for row in rows if row["stage"] == "frozen"]
    for row in (row for row in frozen if row["grader"] == grader):
        earlier = len({r["grader"] for r in frozen[: frozen.index(row)]} - {grader})
        said.append(
            f"The last {row['number']} were made on {row['on']} by seed {row['seed']}; the grader, source {grader}, "
            f"was committed at {row['commit']}. Versions that had been measured so before this one: {earlier}."
        )
    return said


def holds(rows: list[Row], grader: str) -> bool:
    """Whether all that is asked is met by what was graded, of the last hundred alone too if there are any."""
    first, last = (of_stage(rows, stage, grader) for stage in ("mutants", "final"))
    sets = [part for part in (first + last, last) if part]
    good = all(share(part, "located") >= LOCATED and share(part, "score") >= CAUSED for part in sets)
    return bool(sets) and good and not any(row["refused"] for row in of_stage(rows, "variants", grader))


def freeze(journal: Journal, grader: str, at: str, number: int) -> int:
    """The seed of the last mutants for this version of the grader: drawn now and written down, or drawn before."""
    for row in journal.rows():
        if row["stage"] == "frozen" and row["grader"] == grader:
            return int(row["seed"])
    seed = secrets.randbelow(2**31)
    journal.add(
        {"stage": "frozen", "grader": grader, "commit": at, "seed": seed, "number": number, "on": str(date.today())}
    )
    return seed


def benches_of(solved: dict[str, tuple[str, Values]], tell: Tell) -> dict[str, Bench]:
    """The exercises whose solution autograd confirms; of the others says why not."""
    found = {}
    for name, (source, inputs) in solved.items():
        try:
            found[name] = Bench(source, inputs)
        except Unfit as error:
            tell(f"{name} is left out: {error}")
    return found


def main() -> int:
    """Returns the exit code: 1 where less was reached than asked, 2 where it could not be measured."""
    parser = argparse.ArgumentParser(description="Measure the grader of exercises.")
    parser.add_argument("--mutants", type=int, default=300, metavar="N", help="mistakes made on purpose (300)")
    parser.add_argument("--variants", type=int, default=200, metavar="N", help="right files written differently (200)")
    parser.add_argument("--broken", type=int, default=60, metavar="N", help="mutants that cannot be run (60)")
    parser.add_argument(
        "--final", type=int, nargs="?", const=100, metavar="N", help="the last mutants (100), and no others"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"of what is made before the last ({SEED})")
    parser.add_argument("--show", action="store_true", help="print the table of what there is")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    journal, grader = Journal(), grader_hash(grader_files())
    if arguments.write_docs:
        table = [f"| {' | '.join(line)} |" for line in [list(HEADINGS), *lines(journal.rows(), grader)]]
        table.insert(1, "|" + "---|" * len(HEADINGS))
        put_between(DOCS, BEGIN, END, [*table, "", *words(journal.rows(), grader)])
        return 0
    if not arguments.show and not measure(arguments, grader, journal, lambda text: console.print(f"[dim]{text}[/dim]")):
        return 2
    table = Table(*HEADINGS, box=None, header_style="bold")
    for line in lines(journal.rows(), grader):
        table.add_row(*line)
    console.print(table, *words(journal.rows(), grader), sep="\n")
    return 0 if holds(journal.rows(), grader) else 1


def measure(arguments: argparse.Namespace, grader: str, journal: Journal, tell: Tell) -> bool:
    """Make the files and grade them. False where the last ones are asked of a grader that is not committed."""
    import moreish
    from moreish.explaining.exercises import EXERCISES

    solved = {name: (found.solution, dict(moreish.exercise(name).inputs)) for name, found in EXERCISES.items()}
    benches = benches_of(solved, tell)
    if arguments.final:
        if (at := commit()).endswith("+"):
            tell("the source differs from the commit: commit the grader, then make the last mutants")
            return False
        seed = freeze(journal, grader, at, arguments.final)
        wrong, _ = pool(benches, seed, "final", tell)
        seen = {
            row["key"] for row in journal.rows() if "key" in row and (row["stage"], row["grader"]) != ("final", grader)
        }
        tasks = draw(wrong, arguments.final, seed, frozenset(seen), all_of_it=True)
    else:
        wrong, broken = pool(benches, arguments.seed, "mutants", tell)
        tasks = draw(wrong, arguments.mutants, arguments.seed) + draw(broken, arguments.broken, arguments.seed)
        tasks += right_files(benches, arguments.variants, arguments.seed)
    # The last are graded as a learner's file is, in a process each; so are those that cannot be run. The others by what
    # that process calls, in this one: they are many, and a process takes two seconds to load torch.
    apart = [task for task in tasks if task.stage in ("final", "broken")]
    campaign([task for task in tasks if task not in apart], grade_here, grader, journal, tell)
    campaign(apart, moreish.grade_file, grader, journal, tell)
    return True


def grade_here(path: Path) -> Any:
    """What `moreish.grade_file` says, without a process for it."""
    from moreish.explaining.exercises import EXERCISES
    from moreish.explaining.grading.judging import judge as judged
    from moreish.explaining.grading.submission import named_exercise

    source = path.read_text(encoding="utf-8")
    return judged(EXERCISES[str(named_exercise(source))], source)


if __name__ == "__main__":
    sys.exit(main())
