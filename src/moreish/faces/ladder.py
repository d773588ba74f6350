"""A ladder, or a comparison of runs, as people see it: the climb as it goes, then a bar for each loss."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from moreish.faces.cli.console import stderr
from moreish.faces.draw import bar
from moreish.runs.ladder import Climbed, Climbing, Evaluated, Event, Ladder, Step
from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from moreish.runs.standing import Comparison, Standing

SMALL, NARROW, MIDDLE, WIDE = 48, 76, 92, 116
"""Columns from which there is room for more than a loss; for differences and sizes; for copies; for whole intervals."""
GAP, LEAST_BAR, MOST_BAR = 2, 4, 24
BETTER, NOISE, WORSE = "green", "dim", "yellow"


class ComparisonTable:
    """Prints a Comparison; what it shows depends on how wide the terminal is."""

    def __init__(self, found: Comparison):
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, width = self.found, options.max_width
        yield Text(_heading(found), "bold")
        yield self._table(width)
        yield Text()
        yield _samples(found.rows, width)
        yield Text()
        for row in found.rows:
            if row.failed:
                yield _sentence("!", f"{row.label}: {row.failed}", "bold yellow")
        for sentence in found.advice:
            yield _sentence("•", sentence, "bold cyan")
        if found.note:
            yield _sentence("!", f"{found.note[:1].upper()}{found.note[1:]}.", "bold yellow")
        yield Text()
        yield Text(_reading(found, width), "dim")

    def _table(self, width: int) -> Table:
        found, rows = self.found, self.found.rows
        columns = [(title, [cell(row) for row in rows]) for title, cell in _columns(found, width)]
        label_width = _label_width(rows, width)
        taken = label_width + sum(max(cell_len(title), *map(_width, cells)) for title, cells in columns)
        room = width - taken - GAP * (len(columns) + 1)
        bars = _bars(rows, min(MOST_BAR, room) if room >= LEAST_BAR else 0)
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", style="bold", overflow="fold", width=label_width)
        table.add_column("", style="cyan", no_wrap=True)
        for title, _ in columns:
            table.add_column(title, justify="right", no_wrap=True)
        for i, row in enumerate(rows):
            table.add_row(_plain(row.label), bars[i], *(cells[i] for _, cells in columns))
        return table


def _columns(found: Comparison, width: int) -> list[tuple[str, Callable[[Standing], str | Text]]]:
    """What there is room for: a heading, and a cell for each row."""
    known = [row for row in found.rows if row.seconds is not None]
    columns: list[tuple[str, bool, Callable[[Standing], str | Text]]] = [
        ("nats", True, lambda row: _number(row.nats_per_symbol)),
        ("95 %", SMALL <= width < WIDE, lambda row: _half(row.low, row.high)),
        ("95 % interval", width >= WIDE, lambda row: _between(row.low, row.high, ".3f")),
        ("bits", width >= WIDE, lambda row: _number(row.bits_per_symbol, ".3f")),
        (f"minus {_short(found)}", width >= NARROW, lambda row: _difference(row, width >= WIDE)),
        ("copies", width >= MIDDLE, lambda row: _percent(row.copy_mass)),
        ("parameters", width >= NARROW, lambda row: "" if row.parameters is None else f"{row.parameters:,}"),
        ("seconds", bool(known) and width >= SMALL, lambda row: "" if row.seconds is None else _seconds(row.seconds)),
    ]
    return [(title, cell) for title, is_shown, cell in columns if is_shown]


def _bars(rows: list[Standing], cells: int) -> list[str]:
    losses = [row.nats_per_symbol for row in rows]
    most = max((loss for loss in losses if loss is not None and math.isfinite(loss)), default=1.0) or 1.0
    return ["" if loss is None else bar(loss / most if math.isfinite(loss) else 1.0, cells) for loss in losses]


def _heading(found: Comparison) -> str:
    part = f"over {found.folds} folds" if found.folds else f"on {found.part}"
    leaking = ", which leaks" if found.leaks else ""
    what = f"{printable(found.list)}, {found.split} split{leaking}"
    return f"{what}: {len(found.rows)} models {part}, {found.lines:,} lines, {found.symbols:,} symbols"


def _reading(found: Comparison, width: int) -> str:
    """How to read the table."""
    words = [
        "nats: mean negative log-likelihood per symbol, lower is better. 95 %: for the lines that happened to be held "
        "out; another seed or split would move it too."
    ]
    if found.reference:
        words.append(f"Differences from {printable(found.reference)} are on the same lines, so surer than the losses.")
    if width >= MIDDLE:
        words.append("copies: probability spent on the training lines.")
    if isinstance(found, Ladder):
        words.append(f"It took {found.seconds:,.0f} of {found.time:,.0f} s.")
    return " ".join(words)


def _label_width(rows: list[Standing], width: int) -> int:
    return min(max(cell_len(row.label) for row in rows), max(8, width // 3))


def _samples(rows: list[Standing], width: int) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0), expand=True)
    table.add_column(style="dim", overflow="fold", width=_label_width(rows, width))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        if row.samples:
            table.add_row(_plain(row.label), _plain(", ".join(row.samples)))
    return table


def _difference(row: Standing, whole: bool) -> Text:
    """How much larger the loss is than the reference's: green where smaller, dim within the noise."""
    at, low, high = row.difference, row.difference_low, row.difference_high
    if at is None or low is None or high is None or not math.isfinite(at):
        return Text("")
    if at == low == high == 0:
        return Text("–", NOISE)
    style = BETTER if high < 0 else WORSE if low > 0 else NOISE
    between = f" ({_between(low, high, '+.3f')})" if whole else ""
    return Text(f"{at:+.3f}{between}", style)


def _short(found: Comparison) -> str:
    """The reference in a word, for the head of a column."""
    row = next((row for row in found.rows if row.label == found.reference), None)
    return "" if row is None else "first" if row.run else row.model


def _sentence(mark: str, text: str, style: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(mark, style), _plain(text))
    return table


def _plain(text: str) -> Text:
    return Text(printable(text))


def _width(cell: str | Text) -> int:
    return cell_len(str(cell))


def _number(value: float | None, form: str = ".4f") -> str:
    return "" if value is None else f"{value:{form}}" if math.isfinite(value) else "infinite"


def _half(low: float | None, high: float | None) -> str:
    if low is None or high is None or not math.isfinite(high - low):
        return ""
    return f"±{(high - low) / 2:.3f}"


def _between(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None or not math.isfinite(high - low):
        return ""
    return f"{low:{form}} to {high:{form}}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 0.1 else f"{seconds:.1f}" if seconds < 10 else f"{seconds:,.0f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


@contextmanager
def climbing(time: float, began: float, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Yields a function to be given each event of a climb; it draws nothing where standard error is no terminal."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield lambda event: None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[doing]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("the first rung", total=time, doing="", left="")
        yield _Watcher(progress, task, time, began)


class _Watcher:
    def __init__(self, progress: Any, task: Any, time: float, began: float):
        self.progress, self.task, self.time, self.began = progress, task, time, began
        self.dev = ""

    def __call__(self, event: Event) -> None:
        match event:
            case Climbing():
                self.dev = ""
                self._show("", f"{event.model}, {event.number} of {event.rungs}")
            case Step():
                self._show(f"{event.step:,}/{event.steps:,} train {event.loss:.3f}{self.dev}")
            case Evaluated():
                self.dev = f" dev {event.evaluation.nats_per_symbol:.3f}"
            case Climbed():
                self.progress.console.print(
                    _done(event.rung), style="dim", markup=False, highlight=False, no_wrap=True, overflow="ellipsis"
                )
            case _:
                pass

    def _show(self, doing: str, description: str | None = None) -> None:
        spent = clock.perf_counter() - self.began
        left = max(0, round(self.time - spent))
        asked = {} if description is None else {"description": description}
        self.progress.update(
            self.task, completed=min(spent, self.time), doing=doing, left=f"{left // 60}:{left % 60:02d} left", **asked
        )


def _done(row: Standing) -> str:
    if row.failed:
        return printable(f"{row.label}: {row.failed}")
    return printable(
        f"{row.label}: {_number(row.nats_per_symbol)} nats ({_between(row.low, row.high, '.3f')}), "
        f"{row.seconds or 0:.1f} s: {', '.join(row.samples)}"
    )
