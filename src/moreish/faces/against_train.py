"""What people read on whether a model remembers: its lines, a count model's and held-out ones against train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from moreish.generating.memorising import AgainstTrain, TrainNovelty


def memorising_table(found: AgainstTrain) -> RenderableType:
    """The three kinds of line side by side, and a sentence on what is drawn more often for having been learnt."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    edits = "one edit" if found.distance == 1 else f"{found.distance} edits"
    heads = (f"against the {found.train_lines:,} training lines", "new", f"of these over {edits} away")
    table.add_row(*(Text(head, "dim") for head in heads))
    kinds = (("drawn here", found.drawn), ("by a count model", found.count_model), ("held-out lines", found.held_out))
    for what, kind in kinds:
        if kind is not None:
            by_split = kind is found.held_out and found.unique_split
            new = Text("all, by the split") if by_split else _share(kind.rate, kind.low, kind.high)
            farther = _share(kind.farther, kind.farther_low, kind.farther_high)
            table.add_row(Text(f"{kind.lines:,} {what}"), new, farther)
    return Group(table, *(Text(sentence, "dim") for sentence in memorising_words(found)))


def memorising_words(found: AgainstTrain) -> list[str]:
    """How much more often a training line is drawn than a held-out one, and what to make of it."""
    drawn, counted = found.drawn, found.count_model
    if drawn is None or drawn.preference_low is None:
        return []
    beside = f"; by the count model {_times(counted)}" if counted and counted.preference_low is not None else ""
    return [
        f"A training line is drawn {_times(drawn)} as often as a held-out one{beside}. "
        "1 would be no memory of single lines."
    ]


def _times(kind: TrainNovelty) -> str:
    if kind.preference is None:
        return f"at least {kind.preference_low:.1f} times"
    high = "any number" if kind.preference_high is None else f"{kind.preference_high:.1f}"
    return f"{kind.preference:.1f} times (95 % interval {kind.preference_low:.1f} to {high})"


def _share(share: float | None, low: float | None, high: float | None) -> Text:
    if share is None or low is None or high is None:
        return Text("–")
    return Text.assemble(f"{100 * share:.1f} % ", (f"({100 * low:.1f} to {100 * high:.1f})", "dim"))
