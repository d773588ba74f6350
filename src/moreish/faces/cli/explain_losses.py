"""explain losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import print_json, stdout, working
from moreish.faces.cli.options import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.explaining.losses.figures import LossFigures


def losses(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A loss; leave out to hold them side by side.")
    ] = None,
    json: Json = False,
) -> None:
    """The losses, side by side on the same predictions; with a NAME its formula, its gradient, when it serves.

    Every gradient is written by hand, and is held here and now against autograd, central differences and an
    implementation that is not ours. docs/losses.md has them all on one page.

    Example: moreish explain losses focal
    """
    from moreish.explaining.losses.chapter import find_loss
    from moreish.explaining.losses.figures import measure

    if name is not None:
        find_loss(name)
    with working("measuring", quiet=json):
        found = measure(None if name is None else [name])
    if json:
        print_json(found.to_dict(name))
        return
    stdout().print(_side_by_side(found) if name is None else _one(name, found))


def _side_by_side(found: LossFigures) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from moreish.explaining.losses.chapter import LOSSES
    from moreish.explaining.losses.figures import SITUATIONS
    from moreish.explaining.losses.page import cell, end_words, first_clause, situation_words

    names = Table.grid(padding=(0, 2))
    names.add_column(style="bold", no_wrap=True)
    names.add_column()
    for loss in LOSSES.values():
        names.add_row(loss.name, Text(f"{loss.title}. {first_clause(loss.when)}."))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for _ in SITUATIONS:
        table.add_column(justify="right")
    table.add_row(Text("loss\nand gradient", "dim"), *(Text(each, "dim") for each in SITUATIONS))
    for loss in LOSSES.values():
        cells = [cell(row).replace("; ", "\n") for row in found.compared if row.name == loss.name]
        if cells:
            table.add_row(loss.name, *cells)
    words = [Text(_plain(line), "dim") for line in (*situation_words(found), *end_words(found))]
    follow = Text("Next: moreish explain losses cross-entropy", "dim")
    return Group(names, Text(), table, Text(), *words, Text(), follow)


def _one(name: str, found: LossFigures) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from moreish.explaining.losses.chapter import LOSSES
    from moreish.explaining.losses.page import check_words, decay_words, example_words

    loss = LOSSES[name]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    told = {
        "why": loss.why,
        "when": loss.when,
        "when not": loss.when_not,
        "in numbers": example_words(loss, found.examples[name]),
        "checked": check_words(loss, found.checks[name]),
        "or decay": decay_words(found) if name == "l2" else "",
        "source": loss.source,
        "op": f"{loss.op}{f', {loss.setting}' if loss.setting else ''}",
    }
    for label, words in told.items():
        if words:
            rows.add_row(label, Text(words))
    formulas = Text(f"{loss.formula}\n{loss.gradient}", "cyan")
    return Group(Text(loss.title, "bold"), Padding(formulas, (1, 2)), rows)


def _plain(words: str) -> str:
    """A sentence of the page without its Markdown."""
    return words.replace("**", "").replace("`", "")
