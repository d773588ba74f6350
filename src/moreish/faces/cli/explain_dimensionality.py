"""explain dimensionality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListArgument, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.dimensionality.dimensionality import Dimensionality
    from moreish.explaining.dimensionality.distances import Concentration


def dimensionality(
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
    """The curse of dimensionality on your list: what a longer context costs tables, neighbours and a network.

    Contexts possible against seen for 1 to 8 symbols, how often a held-out line needs one that is new, train against
    dev; then distances, which concentrate between random points and less between learnt embeddings, and what that
    leaves of nearest neighbours and of work. Five short trainings, in about twenty seconds.

    Example: moreish explain dimensionality names --plot dimensionality.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.dimensionality.dimensionality import Dimensionality, measured
    from moreish.faces.plot_dimensionality import dimensionality_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed), Dimensionality, "contexts, distances, neighbours", json)
    show(found, told, dimensionality_figure, plot, dark, json)


def told(found: Dimensionality) -> RenderableType:
    """The tables, a sentence for each figure, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.dimensionality.words import concluded, explained, left_out
    from moreish.text.alphabet import printable

    words = explained(found)
    tables = {
        "contexts": (f"Contexts of {printable(found.list)}, by length", _contexts(found)),
        "losses": ("Train against dev, by context length", _losses(found)),
        "random": ("Distances between random points", _random(found)),
        "learnt": ("Distances between learnt contexts", _learnt(found)),
        "neighbours": ("Nearest neighbours as predictors", _neighbours(found)),
        "work": ("The work", _work(found)),
    }
    parts: list[RenderableType] = []
    for name, (title, table) in tables.items():
        if table is None:
            continue
        parts += [Text(("\n" if parts else "") + title, "bold"), table, Text(words[name], "dim")]
    parts += [Text("\nSo", "bold"), *(Text(line) for line in concluded(found))]
    parts += [Text(line, "yellow") for line in left_out(found)]
    return Group(*parts)


def _contexts(found: Dimensionality) -> Table:
    from rich.text import Text

    from moreish.explaining.dimensionality.words import percent, short

    table = grid(["length", "possible", "seen", "share", "mean", "median", "new"], vertical="bottom")
    for each in found.contexts:
        table.add_row(
            Text(str(each.length), "bold"),
            short(each.possible),
            f"{each.seen:,}",
            percent(each.seen / each.possible),
            f"{each.mean_count:,.1f}",
            f"{each.median_count:,.0f}",
            Text("-" if each.dev_unseen is None else percent(each.dev_unseen), "cyan"),
        )
    return table


def _losses(found: Dimensionality) -> Table:
    from rich.text import Text

    table = grid(["length", "counts:\ntrain", "dev", "back-off:\ndev", "network:\ntrain", "dev"], vertical="bottom")
    networks = {network.length: network for network in found.networks}
    for each in found.contexts:
        network = networks.get(each.length)
        table.add_row(
            Text(str(each.length), "bold"),
            f"{each.train:.3f}",
            Text(_nats(each.dev), "cyan"),
            _nats(each.backoff_dev),
            "" if network is None else f"{network.train:.3f}",
            "" if network is None else Text(_nats(network.dev), "cyan"),
        )
    return table


def _random(found: Dimensionality) -> Table:
    from rich.text import Text

    from moreish.explaining.dimensionality.distances import KINDS

    table = grid(
        ["dimensions", *(f"{kind}:\n{head}" for kind in KINDS for head in ("contrast", "near"))], vertical="bottom"
    )
    for at in dict.fromkeys(each.found.dimensions for each in found.random):
        cells = []
        for kind in KINDS:
            each = next(e.found for e in found.random if e.kind == kind and e.found.dimensions == at)
            cells += [_contrast(each), f"{100 * each.within_twice:.1f} %"]
        table.add_row(Text(f"{at:,}", "bold"), *cells)
    return table


def _learnt(found: Dimensionality) -> Table | None:
    from rich.text import Text

    rows = [(network, network.learnt) for network in found.networks if network.learnt is not None]
    table = grid(
        ["length", "numbers", "spread", "learnt:\ncontrast", "near", "random:\ncontrast", "near"], vertical="bottom"
    )
    for network, learnt in rows:
        table.add_row(
            Text(str(network.length), "bold"),
            str(learnt.embeddings.dimensions),
            f"{learnt.effective_dimensions:.1f}",
            Text(_contrast(learnt.embeddings), "cyan"),
            Text(f"{100 * learnt.embeddings.within_twice:.1f} %", "cyan"),
            _contrast(learnt.random),
            f"{100 * learnt.random.within_twice:.1f} %",
        )
    return table if rows else None


def _neighbours(found: Dimensionality) -> Table | None:
    from rich.text import Text

    rows = [(network, network.neighbours) for network in found.networks if network.neighbours is not None]
    table = grid(
        ["length", "same\nnext", "chance", "same\nwindow", "neigh-\nbours", "counts", "network"], vertical="bottom"
    )
    for network, near in rows:
        table.add_row(
            Text(str(network.length), "bold"),
            f"{100 * near.same_next:.1f} %",
            f"{100 * near.chance:.1f} %",
            f"{100 * near.same_window:.0f} %",
            Text(f"{near.knn:.3f}", "cyan"),
            f"{near.counted:.3f}",
            f"{near.network:.3f}",
        )
    return table if rows else None


def _work(found: Dimensionality) -> Table:
    from rich.text import Text

    from moreish.explaining.dimensionality.words import short

    table = grid(
        ["length", "table:\ncells", "network:\nweights", "multiply-\nadds", "neighbours:\nmultiply-adds"],
        vertical="bottom",
    )
    for network in found.networks:
        work = network.work
        table.add_row(
            Text(str(network.length), "bold"),
            short(work.table_cells),
            f"{work.weights:,}",
            f"{work.network_multiply_adds:,}",
            short(work.knn_multiply_adds),
        )
    return table


def _nats(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}"


def _contrast(each: Concentration) -> str:
    return (
        "-" if each.contrast is None else f"{each.contrast:,.3g}" if each.contrast < 1000 else f"{each.contrast:,.0f}"
    )
