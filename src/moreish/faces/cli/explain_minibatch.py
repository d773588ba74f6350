"""explain minibatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListArgument, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.minibatch.minibatch import Minibatch, Moment

SHOWN = (1 / 16, 1 / 4, 1 / 2, 1)
"""Shares of the race, and of the symbols, at which losses are printed."""


def minibatch(
    source: ListArgument,
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
    """What a minibatch's gradient is worth: its angle to the full one, its spread, and why more steps win.

    A small network learns from the list as in the lecture. At its start and later, gradients of batches of 1 to 16,384
    stand beside the full one; then a full batch and one of 32 learn side by side, at equal symbols and at equal time.
    It takes about half a minute. In JSON all but `seconds` is the same each time.

    Example: moreish explain minibatch names --plot minibatch.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.minibatch.minibatch import Minibatch, measured
    from moreish.faces.plot_minibatch import minibatch_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed), Minibatch, "full batch against 32", json)
    show(found, told, minibatch_figure, plot, dark, json)


def told(found: Minibatch) -> RenderableType:
    """The tables, a sentence for each figure, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.minibatch.words import concluded, explained
    from moreish.text.alphabet import printable

    words = explained(found)
    name = printable(found.list)
    kept = "" if found.whole else ", lines drawn at random from a longer list"
    parts: list[RenderableType] = [
        Text(f"Minibatch gradients against the full one, on {name}", "bold"),
        Text(
            f"An MLP of {found.context} symbols, {found.hidden} hidden units and {found.weights:,} weights, learning "
            f"by plain steps of {found.lr:g} in batches of {found.batch}. The full gradient is that of all "
            f"{found.symbols:,} symbols{kept}.",
            "dim",
        ),
    ]
    for moment in found.moments:
        scale = moment.noise.noise_scale
        said = "the gradient is 0" if scale is None else f"noise scale {scale:,.0f} examples"
        parts += [Text(f"\nAfter {moment.step:,} steps: loss {moment.nats:.3f}, {said}", "bold"), _gradients(moment)]
    parts += [Text()]
    parts += [Text.assemble((f"{each}: ", "dim bold"), (said, "dim")) for each, said in words.items()]
    if found.seconds is not None:
        parts += [Text("\nThe price of a step, on this machine", "bold"), _costs(found)]
        parts += [Text(f"\nFull batch against {found.batch}: loss on {found.part}", "bold"), _race(found)]
        rates = ", ".join(f"{rate.lr:g}" for rate in found.rates)
        said = (
            f"Above at equal seconds of learning, below at equal symbols. The full batch learns at "
            f"{found.curves[1].lr:g}, the best of {rates}; {found.batch} at the lecture's {found.lr:g}."
        )
        parts.append(Text(said, "dim"))
    parts += [Text("\nSo", "bold"), *(Text(line) for line in concluded(found))]
    return Group(*parts)


def _gradients(moment: Moment) -> Table:
    from rich.text import Text

    table = grid(["batch", "angle", "19 of 20", "expected", "spread", "expected", "loss"])
    for size in moment.noise.batches:
        table.add_row(
            Text(f"{size.batch:,}", "bold"),
            Text(f"{size.degrees.value:.1f}°", "cyan"),
            Text(f"{size.degrees.low:.0f}-{size.degrees.high:.0f}°"),
            Text(f"{size.expected_degrees:.1f}°", "dim"),
            Text(f"{size.spread.value:.2f}", "cyan"),
            Text(f"{size.expected_spread:.2f}", "dim"),
            f"± {size.loss_deviation:.3f}",
        )
    return table


def _costs(found: Minibatch) -> Table:
    from rich.text import Text

    assert found.seconds is not None
    table = grid(["batch", "a step", "against 32", "symbols a second"])
    small = next((cost for cost in found.seconds.costs if cost.batch == found.batch), found.seconds.costs[0])
    for cost in found.seconds.costs:
        table.add_row(
            Text("full" if cost.full else f"{cost.batch:,}", "bold"),
            f"{1000 * cost.seconds:,.2f} ms",
            f"× {cost.seconds / small.seconds:,.3g}",
            f"{cost.symbols_per_second:,.0f}",
        )
    return table


def _race(found: Minibatch) -> Table:
    from rich.text import Text

    assert found.seconds is not None
    small, full = found.seconds.race
    table = grid(["", f"{small.batch}: steps", "loss", "full: steps", "loss"])
    last = max(small.points[-1].seconds, full.points[-1].seconds)
    for share in SHOWN:
        until = last if share == 1 else share * found.seconds.each
        cells = []
        for side in (small, full):
            at = [point for point in side.points if point.seconds <= until][-1]
            cells += [f"{at.step:,}", Text(f"{at.nats:.3f}", "cyan")]
        table.add_row(f"{share * found.seconds.each:g} s", *cells)
    ours, theirs = found.curves
    early = [point.symbols for point in ours.points if point.symbols <= ours.points[-1].symbols // 16][-1]
    for until in (early, ours.points[-1].symbols, theirs.points[-1].symbols):
        cells = []
        for curve in (ours, theirs):
            at = [point for point in curve.points if point.symbols <= until][-1]
            ended = at is curve.points[-1] and until > at.symbols
            cells += ["", Text("-", "dim")] if ended else [f"{at.step:,}", Text(f"{at.nats:.3f}", "cyan")]
        table.add_row(f"{until:,} symbols", *cells)
    return table
