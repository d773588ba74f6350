"""explain convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import counted
from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import (
    Column,
    Device,
    Encoding,
    Field,
    Json,
    ListArgument,
    Normalize,
    check_device,
    read_options,
    whole,
)
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.convolution.walk import Convolution

WAYS = {"loop": "loop in Python", "windows": "windows at once", "convolution": "one convolution",
        "queues": "symbol by symbol"}  # fmt: skip
"""What the ways of reading are called for people."""


def convolution(
    source: ListArgument,
    seed: Annotated[int, typer.Option("--seed", parser=whole, metavar="N", help="Of the weights and the batches.")] = 0,
    device: Device = "cpu",
    plot: Plot = None,
    dark: Dark = False,
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:
    """Why a tree is a dilated causal convolution, and why sliding it over a line costs less: measured on your list.

    A tree learns briefly; then its lines are read window by window, by convolutions with the same weights, and symbol
    by symbol: how far the logits differ, which symbols an output sees, rows worked out, operators called, and the time
    of a loop in Python against one convolution. It takes about ten seconds.

    Example: moreish explain convolution names --plot convolution.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    if device != "cpu":
        check_device(device)
    from moreish.explaining.convolution.walk import Convolution, measured
    from moreish.faces.plot_convolution import convolution_figure

    corpus = read_corpus(source, json, options=options)
    found = followed(measured(corpus, seed, device), Convolution, "measuring", json)
    show(found, told, convolution_figure, plot, dark, json)


def told(found: Convolution) -> RenderableType:
    """Figure by figure: a heading, the numbers, a sentence or two on them; at last what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.convolution.words import concluded, explained
    from moreish.text.alphabet import printable

    words = explained(found)
    steps = (
        ("One tree, read in several ways: how far apart the logits are", _same(found), "same"),
        ("What the last output sees", _reach(found), "reach"),
        ("Rows that are worked out for the whole list", _evaluations(found), "evaluations"),
        ("Operators that are called", _calls(found), "calls"),
        ("Time, against the convolution's", _times(found), "timings"),
    )
    where = f"{printable(found.list)}: {counted(found.lines, 'line')}, {found.symbols:,} symbols to predict"
    parts: list[RenderableType] = [Text(where)]
    for title, figures, name in steps:
        parts += [Text(f"\n{title}", "bold"), figures, Text(words[name], "dim")]
    return Group(*parts, Text("\nSo", "bold"), *(Text(line) for line in concluded(found)))


def _same(found: Convolution) -> Table:
    table = grid(["", "float32", "float64"], "lrr", no_wrap=True)
    for each in found.same:
        one, other = WAYS[each.one], WAYS[each.other]
        table.add_row(f"{each.model}: {one} and {other}", f"{each.float32:.1e}", f"{each.float64:.1e}")
    return table


def _reach(found: Convolution) -> RenderableType:
    """Rows of the levels from the output down; a row stands as a disc where the last output rests on it."""
    from rich.text import Text

    from moreish.faces.draw import sign

    reach = found.reach
    out = Text(no_wrap=True, overflow="ignore")

    def draw(name: str, reads: list[int], told: str) -> None:
        out.append(f"{name:<13}", "dim")
        for at in range(reach.places):
            out.append("● " if at in reads else "· ", "bold cyan" if at in reads else "dim")
        out.append(f" {told}\n", "dim")

    draw("output", reach.levels[0].reads, "1")
    for level in reach.levels:
        below = sorted({at - back for at in level.reads for back in (0, level.dilation)})
        if level.dilation > 1:
            draw(f"dilation {level.dilation}", below, f"{len(below)}")
    out.append(f"{'dilation 1' if reach.levels[-1].dilation == 1 else '':<13}", "dim")
    for at, symbol in enumerate(reach.symbols):
        out.append(f"{sign(symbol)} "[:2], "bold" if at in reach.expected else "dim")
    out.append(f" {len(reach.expected)} symbols", "dim")
    return out


def _evaluations(found: Convolution) -> Table:
    from rich.text import Text

    from moreish.faces.draw import bar

    table = grid(["", "rows", "a symbol", ""], "lrrl", no_wrap=True)
    most = max(each.each for each in found.evaluations)
    for each in found.evaluations:
        share = Text(bar(each.each / most, 24), "cyan")
        table.add_row(WAYS[each.way], f"{each.rows:,}", f"{each.each:.2f}", share)
    return table


def _calls(found: Convolution) -> Table:
    return _by_reading([(each.way, each.lines, each.symbols, f"{each.calls:,}") for each in found.calls])


def _times(found: Convolution) -> Table:
    times = found.timings.times
    return _by_reading([(each.way, each.lines, each.symbols, f"× {each.ratio:.1f}") for each in times])


def _by_reading(cells: list[tuple[str, int, int, str]]) -> Table:
    """A row for each way, a column for each text that was read."""
    texts = list(dict.fromkeys((lines, symbols) for _, lines, symbols, _ in cells))
    table = grid(
        ["", *(f"{lines} × {symbols} symbols" for lines, symbols in texts)], "l" + "r" * len(texts), no_wrap=True
    )
    shown = {(way, lines, symbols): cell for way, lines, symbols, cell in cells}
    for way in dict.fromkeys(way for way, *_ in cells):
        table.add_row(WAYS[way], *(shown[way, *text] for text in texts))
    return table
