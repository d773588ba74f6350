"""explain batchnorm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListOrNames, Normalize, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.batchnorm.chapter import BatchNormFound
    from moreish.explaining.seeds import OverSeeds


def batchnorm(
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
    """What BatchNorm does: its axes and modes, what batch-mates do to a line, whether it regularises, and two faults.

    What torch, the lecture and our layer do is found out of them by their numbers. On the list: a line's loss among
    other lines, train against dev with BatchNorm and without, statistics that count padding, and the lecture's axes,
    each over several seeds with an interval. It learns 35 times, briefly, in about half a minute.

    Example: moreish explain batchnorm names --plot batchnorm.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.batchnorm.chapter import BatchNormFound, measured
    from moreish.faces.plot_batchnorm import batchnorm_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed), BatchNormFound, "learning", json)
    show(found, told, batchnorm_figure, plot, dark, json)


def told(found: BatchNormFound) -> RenderableType:
    """The tables, a sentence for each, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.batchnorm.words import concluded, explained
    from moreish.text.alphabet import printable

    words = explained(found)
    name = printable(found.list)
    parts: list[RenderableType] = []
    for title, key, table in (
        ("Over which axes", "axes", _axes(found)),
        ("In which mode", "modes", _modes(found)),
        ("A batch of one row, and of two", "small", _small(found)),
        (f"A line of {name} among other lines", "mates", _mates(found)),
        ("A bias before BatchNorm", "bias", _bias(found)),
        (f"Train against dev on {name}", "regularizes", _regularizes(found)),
        ("Statistics over padding", "padding", _padding(found)),
        ("The lecture's axes", "lecture", _lecture(found)),
    ):
        if table is not None:
            parts += [Text(("\n" if parts else "") + title, "bold"), table, Text(words[key], "dim")]
    return Group(*parts, Text("\nSo", "bold"), *(Text(line) for line in concluded(found)))


def _axes(found: BatchNormFound) -> Table:
    from rich.text import Text

    table = grid(["layer", "input", "shape", "over", "in a mean", "stored"], "llllrl")
    for each in found.axes:
        shape = " x ".join(map(str, each.shape))
        if each.over is None or each.kept is None:
            table.add_row(Text(each.who, "bold"), each.input, shape, Text("refused", "red"), "", "")
        else:
            kept = " x ".join(map(str, each.kept))
            table.add_row(Text(each.who, "bold"), Text(each.input), shape, " ".join(each.over), str(each.shares), kept)
    return table


def _modes(found: BatchNormFound) -> Table:
    from rich.text import Text

    table = grid(["layer", "mode", "statistics", "stores", "through"], "lllll")
    for each in found.modes:
        row = (each.mode, each.statistics, "yes" if each.stores else "no", "yes" if each.through else "no")
        table.add_row(Text(each.who, "bold"), *row)
    return table


def _small(found: BatchNormFound) -> Table:
    from rich.text import Text

    from moreish.explaining.batchnorm.words import OUTCOMES

    table = grid(["layer", "rows", "outcome"], "lrl")
    for each in found.small:
        size = f", {each.size:.3f}" if each.outcome == "signs" and each.size is not None else ""
        table.add_row(Text(each.who, "bold"), str(each.rows), OUTCOMES[each.outcome] + size)
    return table


def _mates(found: BatchNormFound) -> Table:
    from rich.text import Text

    table = grid(["batch", "logits", "nats", "widest", "evaluation"], "rrrrr")
    for each in found.mates:
        row = (f"± {each.logits:.3f}", f"± {each.nats:.4f}", f"{each.nats_most:.3f}", f"{each.evaluation:.0e}")
        table.add_row(Text(str(each.batch), "bold"), *row)
    return table


def _bias(found: BatchNormFound) -> Table:
    from rich.text import Text

    names = {"learning": "before BatchNorm", "evaluation": "by running statistics", "without": "no BatchNorm"}
    table = grid(["", "precision", "bias", "weights", "ratio"], "llrrr")
    for each in found.bias:
        row = (each.precision, f"{each.bias:.1e}", f"{each.weights:.1e}", f"{each.ratio:.1e}")
        table.add_row(Text(names[each.where], "bold"), *row)
    return table


def _regularizes(found: BatchNormFound) -> Table | None:
    from rich.text import Text

    told = found.regularizes
    if told is None:
        return None
    table = grid(["BatchNorm", "train", "dev", "gap"], "lrrr")
    for curve in told.curves:
        train, dev = curve.train[-1], curve.dev[-1]
        table.add_row(Text(curve.model, "bold"), f"{train:.4f}", f"{dev:.4f}", f"{dev - train:.4f}")
    return table


def _padding(found: BatchNormFound) -> Table:
    from rich.text import Text

    names = {False: "without", True: "with"}
    table = grid(["learnt", "evaluated", "nats", "cost", "95 % of seeds"], "llrrl")
    for each in found.padding.pairs:
        row = (names[each.evaluated_padded], f"{each.nats.value:.4f}", *_cost(each.cost))
        table.add_row(Text(names[each.learnt_padded], "bold"), *row)
    return table


def _lecture(found: BatchNormFound) -> Table:
    from rich.text import Text

    told = found.lecture
    table = grid(["over", "in a mean, by level", "nats", "cost", "95 % of seeds"], "llrrl")
    for name, rows, nats, cost in (
        ("all but the last", told.rows_mended, told.mended, None),
        ("the first", told.rows_first, told.first, told.cost),
    ):
        table.add_row(Text(name, "bold"), ", ".join(map(str, rows)), f"{nats.value:.4f}", *_cost(cost))
    return table


def _cost(cost: OverSeeds | None) -> tuple[str, str]:
    if cost is None:
        return "", ""
    return f"{cost.value:+.4f}", "" if cost.low is None or cost.high is None else f"{cost.low:+.4f} to {cost.high:+.4f}"
