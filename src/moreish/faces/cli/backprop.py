"""backprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import note, print_json, stdout, working
from moreish.faces.cli.measuring import read_corpus
from moreish.faces.cli.options import (
    Column,
    Encoding,
    Field,
    Json,
    Normalize,
    Symbols,
    read_options,
    whole,
)
from moreish.faces.cli.plots import Dark, Drawing, check_drawing, write_drawing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.explaining.grains.backprop import Backprop

SIZES = "The network"
STYLES = {"exact": "green", "rounding": "green", "error": "bold red"}


def backprop(
    source: Annotated[
        str, typer.Argument(metavar="LIST", help="Where the batch comes from: a file, `-`, or a bundled list's name.")
    ] = "names",
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="mlp-bn, the lectures'; or another network's name.")
    ] = "mlp-bn",
    grain: Annotated[
        str | None,
        typer.Option(
            "--grain", metavar="atomic|fused|step",
            help="Of mlp-bn. atomic: all small steps. fused: cross-entropy and BatchNorm at once. step: the whole "
            "step as one function. [default: atomic]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", parser=whole, metavar="N", help="Of weights and batch.")] = 0,
    hidden: Annotated[
        int | None,
        typer.Option("--hidden", parser=whole, metavar="N", help="Hidden units. [mlp-bn: 64]", rich_help_panel=SIZES),
    ] = None,
    embedding: Annotated[
        int | None,
        typer.Option(
            "--embedding", parser=whole, metavar="N", help="Numbers for a symbol. [mlp-bn: 10]", rich_help_panel=SIZES
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            "--context", parser=whole, metavar="N", help="Symbols in a window. [mlp-bn: 3]", rich_help_panel=SIZES
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", parser=whole, metavar="N", help="Windows of mlp-bn, or lines, in the batch.",
            rich_help_panel=SIZES,
        ),
    ] = 32,
    plot: Drawing = None,
    dark: Dark = False,
    symbols: Symbols = "characters",
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:  # fmt: skip
    """Every gradient by hand beside autograd's: exact, rounding, or an error, decided in float64.

    A fresh network, one batch. The lectures' MLP with BatchNorm is looked at in three grains; of any other network the
    gradients of its parameters are. Exit code 1 where one of them is an error.

    Example: moreish backprop --model mlp-bn --seed 0
    """
    options = read_options(encoding, normalize, column, field)
    check_drawing(plot, source, dark)
    from moreish.explaining.drawing.diagram import draw
    from moreish.explaining.grains.backprop import backprop as compare

    corpus = read_corpus(source, json, symbols=symbols, options=options)
    with working(f"{model}: gradients", quiet=json):
        found = compare(
            model=model, seed=seed, grain=grain, hidden=hidden, embedding=embedding, batch=batch, context=context,
            corpus=corpus,
        )  # fmt: skip
    write_drawing(plot, lambda dark: draw(found.graph(), dark=dark), dark, quiet=json)
    if json:
        print_json(found.to_dict())
    else:
        stdout().print(gradients_table(found), soft_wrap=True)
        if found.why_plain:
            note(f"the step is plain torch: {found.why_plain}")
    if found.errors:
        raise typer.Exit(1)


def gradients_table(found: Backprop) -> RenderableType:
    """The lectures' table, and what it comes to."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head, *rows = found.cells()
    table = Table.grid(padding=(0, 2))
    for i in range(len(head)):
        table.add_column(justify="right" if i in (2, 3) else "left", no_wrap=True)
    table.add_row(*(Text(name, "dim") for name in head))
    for row, kept in zip(rows, found.intermediates):
        table.add_row(Text(row[0], "cyan"), *map(Text, row[1:4]), Text(row[4], STYLES[kept.verdict]))
    title = f"{found.model}, {found.grain}" + (f" ({found.engine})" if found.engine else "")
    return Group(Text(title, "bold"), table, Text(), Text(found.sentence))
