"""explain bessel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListOrNames, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.bessel.correction import Bessel


def bessel(
    source: ListOrNames = "names",
    seed: Annotated[
        int, typer.Option("--seed", parser=whole, metavar="N", help="Of the weights and of all that is drawn.")
    ] = 0,
    plot: Plot = None,
    dark: Dark = False,
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:  # fmt: skip
    """Which divisor a variance takes, n or n - 1: Bessel's correction in BatchNorm's batches, store and evaluation.

    What torch, the paper and the lecture do, found out of the layers by their numbers; then, on the list, what it
    changes at batches of 2, 8, 32 and 256: the estimates' bias, activations, gradients, and the loss of a small network
    under each pair of divisors. It learns 24 times, briefly, in about ten seconds.

    Example: moreish explain bessel names --plot bessel.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.bessel.correction import Bessel, measured
    from moreish.faces.plot_bessel import bessel_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed), Bessel, "measuring", json)
    show(found, told, bessel_figure, plot, dark, json)


def told(found: Bessel) -> RenderableType:
    """The tables, a sentence for each figure, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.bessel.words import concluded, explained
    from moreish.text.alphabet import printable

    words = explained(found)
    rows = found.conventions[0].rows
    name = printable(found.list)
    return Group(
        Text("Who divides by what", "bold"),
        _conventions(found),
        Text(f"Found by a batch of {rows}: the sum of squares over the variance that a layer divided by.", "dim"),
        Text(f"\nWhat it changes on {name}", "bold"),
        _estimates(found),
        *(
            Text.assemble((f"{each}: ", "dim bold"), (words[each], "dim"))
            for each in ("bias", "activation", "gradient")
        ),
        Text("\nThe loss in evaluation, and the size of activations, by both divisors", "bold"),
        _losses(found),
        *(Text.assemble((f"{each}: ", "dim bold"), (words[each], "dim")) for each in ("loss", "size")),
        Text("\nSo", "bold"),
        *(Text(line) for line in concluded(found)),
    )


def _conventions(found: Bessel) -> Table:
    from rich.text import Text

    table = grid(["who", "in the batch", "stored", "evaluation", "source"], "lllll")
    for each in found.conventions:
        named = zip((each.batch, each.stored, each.evaluation), each.divisors)
        cells = (Text(f"{name} ({divisor:.4f})") for name, divisor in named)
        table.add_row(Text(each.who, "bold"), *cells, Text(f"{each.source}; {each.note}", "dim"))
    return table


def _estimates(found: Bessel) -> Table:
    from rich.text import Text

    heads = ["batch", "n/(n-1)", "bias by n", "by n - 1", "deviations", "activation", "gradient", "passes"]
    table = grid(heads)
    for size in found.batches:
        shares = (size.bias_n, size.bias_n_minus_1, size.bias_deviation)
        table.add_row(
            Text(str(size.batch), "bold"),
            f"{size.ratio:.4f}",
            *(f"{100 * share:+.1f} %" for share in shares),
            f"× {size.activation:.3f}",
            f"× {size.gradient:.3f}",
            f"{100 * size.gradient_through:.0f} %",
        )
    return table


def _losses(found: Bessel) -> Table:
    from rich.text import Text

    from moreish.explaining.bessel.words import best, matching

    pairs = [f"batch {pair.batch},\nstored {pair.stored}" for pair in found.batches[0].loss]
    table = grid(["batch", *pairs])
    for size in found.batches:
        styles = ["bold green" if pair is best(size) else "" for pair in size.loss]
        table.add_row(
            Text(str(size.batch), "bold"), *(Text(f"{p.nats:.4f}", style) for p, style in zip(size.loss, styles))
        )
        styles = ["green" if pair is matching(size) else "dim" for pair in size.loss]
        table.add_row(Text("size", "dim"), *(Text(f"{p.activation:.3f}", style) for p, style in zip(size.loss, styles)))
    return table
