"""explain optimizability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListOrNames, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.optimizability.chapter import Optimizability


def optimizability(
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
    """Why plain RNNs are expressive and yet hard to learn by first-order steps: gradients through time.

    For RNNs with three kinds of weights, GRU, LSTM and WaveNet: what is left of a gradient so many symbols back, at
    first and after learning, and why; which learning rates are good, with clipping and without; and from how far back
    a symbol is remembered. It takes about half a minute.

    Example: moreish explain optimizability names --plot gradients.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.optimizability.chapter import Optimizability, measured
    from moreish.faces.plot_optimizability import optimizability_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed), Optimizability, "learning", json)
    show(found, told, optimizability_figure, plot, dark, json)


def told(found: Optimizability) -> RenderableType:
    """The tables, a sentence for each, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.optimizability.words import concluded, explained
    from moreish.text.alphabet import printable

    words = explained(found)
    name = printable(found.list)
    parts: list[RenderableType] = []
    for title, key, table in (
        ("Networks", "networks", _networks(found)),
        (f"What comes back along lines of {name}", "back", _back(found)),
        ("Why, in a plain RNN, before learning", "plain", _plain(found)),
        ("Learning rates", "sweep", _sweeps(found)),
        ("A symbol to be remembered", "recall", _recalls(found)),
    ):
        parts += [Text(("\n" if parts else "") + title, "bold"), table, Text(words[key], "dim")]
    return Group(*parts, Text("\nSo", "bold"), *(Text(line) for line in concluded(found)))


def _networks(found: Optimizability) -> Table:
    from rich.text import Text

    table = grid(["network", "weights", ""], "lrl")
    for each in found.networks:
        table.add_row(Text(each.network, "bold"), f"{each.weights:,}", Text(each.about, "dim"))
    return table


def _back(found: Optimizability) -> Table:
    from rich.text import Text

    table = grid(["network", "at first", "a symbol", "learnt", "a symbol"], "lrrrr")
    after = {each.network: each for each in found.learnt}
    for each in found.fresh:
        cells = []
        for one in (each, after.get(each.network)):
            left = None if one is None else one.inputs[found.reach]
            cells += ["", ""] if one is None or left is None else [f"{left:.1e}", f"× {one.factor:.3f}"]
        table.add_row(Text(each.network, "bold"), *cells)
    return table


def _plain(found: Optimizability) -> Table:
    from rich.text import Text

    table = grid(["network", "largest", "radius", "usual", "slope", "expected", "measured"], "lrrrrrr")
    for each in found.plain:
        row = (each.largest, each.radius, each.usual, each.slope, each.expected, each.measured)
        table.add_row(Text(each.network, "bold"), *(f"{number:.3f}" for number in row))
    return table


def _sweeps(found: Optimizability) -> Table:
    from rich.text import Text

    table = grid(["rate", *(f"{rate:g}" for rate in found.sweeps[0].rates)], "l" + "r" * len(found.sweeps[0].rates))
    for each in found.sweeps:
        cells = [
            Text(_nats(nats), "bold green" if rate == each.best_rate else "green" if rate in each.good else "")
            for rate, nats in zip(each.rates, each.nats)
        ]
        table.add_row(Text(each.network, "bold"), *cells)
        if each.clipped != each.nats:
            table.add_row(Text("  clipped", "dim"), *(Text(_nats(nats), "dim") for nats in each.clipped))
    return table


def _recalls(found: Optimizability) -> Table:
    from rich.text import Text

    distances = found.recalls[0].distances
    table = grid(["symbols back", *map(str, distances)], "l" + "r" * len(distances))
    for each in found.recalls:
        table.add_row(Text(each.network, "bold"), *(f"{known:.2f}" for known in each.known))
    return table


def _nats(nats: float | None) -> str:
    return "none" if nats is None else f"{nats:.3f}" if nats < 10 else f"{nats:.0f}"
