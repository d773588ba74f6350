"""explain optimizability."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import note, print_json, stdout, working
from moreish.faces.cli.options import Column, Encoding, Field, Json, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.optimizability.chapter import Optimizability


def optimizability(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[LIST]", help="A file with one thing per line, `-` for standard input, or a bundled list's name."
        ),
    ] = "names",
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
    from moreish.text.corpus import Corpus

    with working(f"reading {source}", quiet=json):
        corpus = Corpus.read(source, options=options)
    for warning in corpus.report.warnings if corpus.report else ():
        note(f"warning: {warning}")
    found = None
    with working("learning", quiet=json) as update:
        for event in measured(corpus, seed):
            if isinstance(event, Optimizability):
                found = event
            else:
                update(event.done, event.total)
    assert found is not None
    from moreish.faces.plot_optimizability import optimizability_figure

    write_figure(plot, partial(optimizability_figure, found), dark, quiet=json)
    if json:
        print_json(found.to_dict())
        return
    stdout().print(told(found))


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

    table = _grid(["network", "weights", ""], "lrl")
    for each in found.networks:
        table.add_row(Text(each.network, "bold"), f"{each.weights:,}", Text(each.about, "dim"))
    return table


def _back(found: Optimizability) -> Table:
    from rich.text import Text

    table = _grid(["network", "at first", "a symbol", "learnt", "a symbol"], "lrrrr")
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

    table = _grid(["network", "largest", "radius", "usual", "slope", "expected", "measured"], "lrrrrrr")
    for each in found.plain:
        row = (each.largest, each.radius, each.usual, each.slope, each.expected, each.measured)
        table.add_row(Text(each.network, "bold"), *(f"{number:.3f}" for number in row))
    return table


def _sweeps(found: Optimizability) -> Table:
    from rich.text import Text

    table = _grid(["rate", *(f"{rate:g}" for rate in found.sweeps[0].rates)], "l" + "r" * len(found.sweeps[0].rates))
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
    table = _grid(["symbols back", *map(str, distances)], "l" + "r" * len(distances))
    for each in found.recalls:
        table.add_row(Text(each.network, "bold"), *(f"{known:.2f}" for known in each.known))
    return table


def _nats(nats: float | None) -> str:
    return "none" if nats is None else f"{nats:.3f}" if nats < 10 else f"{nats:.0f}"


def _grid(heads: list[str], sides: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for side in sides:
        table.add_column(justify="right" if side == "r" else "left")
    table.add_row(*(Text(head, "dim") for head in heads))
    return table
