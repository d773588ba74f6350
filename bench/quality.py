"""What the models reach: each row of the table learnt with three seeds, on both splits of names.txt.

    python bench/quality.py                 learn what has no result yet, then print the table
    python bench/quality.py --only gru --seed 0 --split unique       some of it; two such can run side by side
    python bench/quality.py --list          what has a result and what would be learnt; learns nothing
    python bench/quality.py --test          look at test, once for each run
    python bench/quality.py --write-docs    put the table into docs/results.md; learns nothing

Results are appended to bench/results.jsonl and looked up there by their whole recipe, so with all of them there this
only prints, and what is learnt again is what has a changed recipe. Runs are kept in out/quality/SPLIT/ROW/SEED. NAMES
names the list, by default ../shared/data/names.txt beside the repository. One process takes one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import torch
from rich.console import Console
from rich.table import Table

from campaign import Busy, corpus_of, names_path, run, run_on_test
from ensemble import describe_mix, mixed
from moreish.errors import MoreishError
from quality_report import BEGIN, END, HEADINGS, Figures, cells, page, standings, summary
from quality_rows import BY_ID, QUALITY_ROWS, SEEDS, SPLITS, QualityRow
from report import put_between
from results import ROOT, Result, find, read

DOCS = ROOT / "docs" / "results.md"


def wanted(only: list[str], seeds: list[int], splits: list[str]) -> Iterator[tuple[QualityRow, str, int]]:
    """What is learnt or mixed, in that order: seed by seed, so that a first table is there early."""
    for seed in seeds:
        for row in QUALITY_ROWS:
            if not row.best and (not only or row.id in only):
                yield from ((row, split, seed) for split in row.limits if split in splits)


def stored(results: list[Result], row: QualityRow, split: str, seed: int, part: str) -> Result | None:
    """The result of a row as its recipe stands now; without the list, the newest that bears its name."""
    if not names_path().is_file():
        named = (r for r in reversed(results) if r["row"] == row.id and r["part"] == part)
        return next((r for r in named if _decided_by(r) == (split, seed)), None)
    if row.mix:
        return find(results, describe_mix([BY_ID[member].job(split, seed) for member in row.mix]), part)
    return find(results, row.job(split, seed).description, part)


def _decided_by(result: Result) -> tuple[str, int]:
    recipe = result["recipe"]
    recipe = next(iter(recipe["members"].values())) if "members" in recipe else recipe
    return recipe["split"], recipe["seed"]


def figures_of(results: list[Result]) -> Figures:
    """All results that count, for the table."""
    figures: Figures = {}
    for row, split, seed in wanted([], list(SEEDS), list(SPLITS)):
        for part in ("dev", "test"):
            found = stored(results, row, split, seed, part)
            if found is not None:
                figures.setdefault((row.id, split), {}).setdefault(part, []).append(found)
    return figures


def work(row: QualityRow, split: str, seed: int, part: str, console: Console) -> str:
    """Learn or mix one result if there is none; returns what came of it, in a sentence."""
    began = time.process_time()

    def say(text: str) -> None:
        console.print(f"[dim]{time.process_time() - began:6.0f} s  {text}[/dim]", highlight=False)

    if row.mix:
        result = mixed(row.id, [BY_ID[member].job(split, seed) for member in row.mix], part, say)
    else:
        result = (run if part == "dev" else run_on_test)(row.job(split, seed), say)
    return f"{part} {result['nats']:.4f} nats per symbol"


def show(console: Console, figures: Figures) -> None:
    """The table in the terminal."""
    table = Table(*HEADINGS, box=None, header_style="bold")
    for standing in standings(figures):
        style = {True: "green", False: "bold red", None: "dim"}[standing.holds]
        line = cells(standing)
        table.add_row(*[f"[{style}]{cell}[/{style}]" if i == 5 else cell for i, cell in enumerate(line)])
    console.print(table)
    console.print(summary(figures))


def main() -> int:
    """Returns the exit code: 1 where something could not be learnt, not where it is not good enough."""
    parser = argparse.ArgumentParser(description="Learn what the table of quality says, and print it.")
    parser.add_argument("--only", metavar="ROW", action="append", default=[], help="this row (again for more)")
    parser.add_argument("--seed", type=int, action="append", choices=SEEDS, help="this seed")
    parser.add_argument("--split", action="append", choices=SPLITS, help="this split")
    parser.add_argument("--list", action="store_true", help="say what there is and what would be learnt")
    parser.add_argument("--test", action="store_true", help="look at test too, once for each run")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=None if sys.stdout.isatty() else 220)
    for only in arguments.only:
        if only not in BY_ID or BY_ID[only].best:
            parser.error(f"no row {only!r} is learnt; there are: {', '.join(r.id for r in QUALITY_ROWS if not r.best)}")
    if arguments.write_docs:
        put_between(DOCS, BEGIN, END, page(figures_of(read())))
        return 0
    asked = list(wanted(arguments.only, arguments.seed or list(SEEDS), arguments.split or list(SPLITS)))
    if not names_path().is_file():
        console.print("The list is not here (NAMES=names.txt names it): these are the results as they were written.")
        show(console, figures_of(read()))
        return 0
    failed = 0
    for row, split, seed in asked:
        for part in ("dev", "test") if arguments.test else ("dev",):
            name = f"{row.id}, {split} split, seed {seed}"
            try:
                if arguments.list:
                    there = stored(read(), row, split, seed, part) is not None
                    console.print(f"{name}, {part}: {'there' if there else 'would be learnt'}", highlight=False)
                elif stored(read(), row, split, seed, part) is None:
                    console.print(f"{name}, {part}: {len(corpus_of(split).train):,} lines", highlight=False)
                    console.print(f"{name}: {work(row, split, seed, part, console)}", highlight=False)
            except Busy:
                console.print(f"{name}: another process is at it; run this again when it has ended.")
            except MoreishError as error:
                failed += 1
                console.print(f"[bold red]{name}: {error}[/bold red]", highlight=False)
    if not arguments.list:
        show(console, figures_of(read()))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
