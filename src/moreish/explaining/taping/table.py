"""A tape as text: a table, one row for each tensor, and the rules.

Where a note has no room beside its row it stands below; where no row fits, each tensor gets a few lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size

from moreish.explaining.taping.figures import short
from moreish.explaining.taping.reasons import Why, why_none
from moreish.explaining.taping.records import Recorded
from moreish.explaining.taping.rules import TITLES, Rule

HEADINGS = ("name", "made by", "shape", "value", "gradient", "note")
MOST = (24, 40, 16, 21, 21, 60)
"""Columns of the terminal that a column of the table takes at most."""
LEAST_NOTE, LEAST_MADE_BY = 30, 16
GAP = 2
MOST_RULES = 40
"""Sentences for one rule; what is more is counted."""


def text(records: Sequence[Recorded], ends: Sequence[Recorded], rules: Sequence[Rule], problem: str, width: int) -> str:
    """The table and the rules in lines of at most `width` columns, 40 at least."""
    width = max(40, width)
    parts = [table(records, ends, width)] if records else []
    if problem:
        parts.append("\n".join(wrap(problem, width)))
    if ends:
        parts.append("\n".join(wrap(f"Backward started from {' and '.join(each.name for each in ends)}.", width)))
    parts += told(rules, width)
    return "\n\n".join(parts)


def table(records: Sequence[Recorded], ends: Sequence[Recorded], width: int) -> str:
    """One row for each tensor where that fits, else a few lines."""
    rows = [_row(each, ends) for each in records]
    sizes = [min(most, max(cell_len(row[at]) for row in (HEADINGS, *rows))) for at, most in enumerate(MOST)]
    spare = width - sum(sizes[:5]) - GAP * 4
    if spare < 0:
        sizes[1] = max(sizes[1] + spare, LEAST_MADE_BY)  # the longest expressions are cut first
        spare = width - sum(sizes[:5]) - GAP * 4
    if spare < 0:
        return "\n".join(line for row in rows for line in _block(row, width))
    has_notes = any(row[5] for row in rows)
    beside = has_notes and spare - GAP >= LEAST_NOTE
    sizes[5] = min(sizes[5], spare - GAP) if beside else 0
    lines = [_line(HEADINGS, sizes), "-" * (sum(sizes) + GAP * (5 if beside else 4))]
    for row in rows:
        note = wrap(row[5], sizes[5]) if beside else []
        lines.append(_line((*row[:5], note[0] if note else ""), sizes))
        lines += [_line(("", "", "", "", "", more), sizes) for more in note[1:]]
        if not beside:
            lines += wrap(row[5], width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def told(rules: Sequence[Rule], width: int) -> list[str]:
    """A paragraph for each rule at work."""
    found = []
    for key, title in TITLES.items():
        mine = [each for each in rules if each.rule == key]
        if not mine:
            continue
        lines = wrap(f"{title}{'' if all(each.holds for each in mine) else ' (BROKEN)'}", width)
        for each in mine[:MOST_RULES]:
            lines += wrap(each.sentence, width, initial_indent="  ", subsequent_indent="    ", break_long_words=True)
        if len(mine) > MOST_RULES:
            lines.append(f"  and {len(mine) - MOST_RULES} more.")
        found.append("\n".join(lines))
    return found


def _row(each: Recorded, ends: Sequence[Recorded]) -> tuple[str, ...]:
    why = why_none(each, ends)
    shape = str(each.shape).replace(",)", ")")
    gradient = "none" if each.gradient is None else short(each.gradient)
    note = "" if why is None or why[0] == Why.NO_BACKWARD else why[1]
    return each.name, each.expression, shape, short(each.value), gradient, note


def _line(row: Sequence[str], sizes: Sequence[int]) -> str:
    cells = []
    for at, (cell, size) in enumerate(zip(row, sizes)):
        cell = _cut(cell, size) if size else ""
        blank = " " * (size - cell_len(cell))
        cells.append(blank + cell if at in (3, 4) else cell + blank)
    return (" " * GAP).join(cells).rstrip()


def _block(row: tuple[str, ...], width: int) -> list[str]:
    """One tensor in a few lines."""
    name, made_by, shape, value, gradient, note = row
    lines = [_cut(f"{name} = {made_by}" if made_by else name, width)]
    numbers = [f"shape {shape}", f"value {value}", f"gradient {gradient}"]
    joined = "   ".join(numbers)
    lines += [f"  {joined}"] if cell_len(joined) + 2 <= width else [_cut(f"  {each}", width) for each in numbers]
    return lines + wrap(note, width, initial_indent="  ", subsequent_indent="  ")


def _cut(text: str, size: int) -> str:
    return text if cell_len(text) <= size else set_cell_size(text, max(size - 1, 0)) + "…"
