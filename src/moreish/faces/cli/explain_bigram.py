"""explain bigram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import counted
from moreish.faces.cli.console import stdout
from moreish.faces.cli.measuring import followed, grid, read_corpus, show
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListArgument, Normalize, Split, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from moreish.explaining.bigram.walk import Bigram

STEPS_SHOWN = (0, 1, 10, 100, 1000, 10**9)
ENTRIES_SHOWN = 3


def bigram(
    source: ListArgument,
    seed: Annotated[int, typer.Option("--seed", parser=whole, metavar="N", help="Of all weights that are drawn.")] = 0,
    plot: Plot = None,
    dark: Dark = False,
    split: Split = "unique",
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:
    """The bigram on your list, step by step: from the problem, which symbol comes next, to the model and its loss.

    The table of counts; the likelihood as a product, where it underflows, and its mean negative logarithm; the
    one-layer network that learns the same table; smoothing beside weight decay; and why this loss has one minimum where
    that of a network with hidden units has many. It takes a few seconds.

    Example: moreish explain bigram names --plot bigram.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.bigram.walk import Bigram, measured
    from moreish.faces.plot_bigram import bigram_figure

    corpus = read_corpus(source, json, split=split, options=options)
    found = followed(measured(corpus, seed), Bigram, "measuring", json)
    show(found, lambda found: told(found, stdout()), bigram_figure, plot, dark, json)


def told(found: Bigram, console: Console) -> RenderableType:
    """Step by step: a heading, the figures, a sentence or two on them; at last what follows."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.bigram.words import concluded, explained
    from moreish.faces.draw import has_colour
    from moreish.faces.terminal import bigram_picture
    from moreish.learning.tables import MOST_SHOWN, BigramTable
    from moreish.text.alphabet import printable

    words = explained(found)
    table = BigramTable(
        found.labels, found.counts, found.pairs, found.pairs_seen, found.pairs_possible,
        max(0, found.symbols - 1 - MOST_SHOWN),
    )  # fmt: skip
    steps = (
        ("Which symbol comes next?", _example(found), "problem"),
        ("The model is a table of counts", bigram_picture(table, console.width, has_colour(console)), "table"),
        ("The likelihood, and what is made of it", _likelihood(found), "likelihood"),
        ("A network that says the same: one-hot @ W", _choice(found), "choice"),
        ("It learns the table", _descent(found), "descent"),
        ("Logits are logarithms of counts", _exponentials(found), "exponentials"),
        ("Smoothing beside weight decay", _smoothing(found), "smoothing"),
        ("One minimum, from wherever it starts", _starts(found), "convex"),
        ("Not so with hidden units", _lines(found), "bent"),
    )
    where = f"{printable(found.list)}: {counted(found.lines, 'line')}, {found.pairs:,} pairs, {found.symbols} symbols"
    parts: list[RenderableType] = [Text(where)]
    for title, figures, name in steps:
        parts += [Text(f"\n{title}", "bold"), figures, Text(words[name], "dim")]
    return Group(*parts, Text("\nSo", "bold"), *(Text(line) for line in concluded(found)))


def _example(found: Bigram) -> RenderableType:
    from rich.text import Text

    from moreish.faces.draw import bar, sign

    table = grid(["before", "after", "count", "probability", ""], "rrrrl")
    for each in found.example:
        share = Text(bar(each.probability, 20), "cyan")
        cells = (Text(sign(each.before)), Text(sign(each.after), "bold"))
        table.add_row(*cells, f"{each.count:,}", f"{each.probability:.4f}", share)
    return table


def _likelihood(found: Bigram) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.bigram.words import underflow_words

    likelihood = found.likelihood
    table = _plain()
    table.add_row("product", _power(likelihood.log10), Text("what it is", "dim"))
    for each in likelihood.underflows:
        table.add_row("", each.precision, Text(underflow_words(each).removeprefix(f"{each.precision} "), "dim"))
    table.add_row("its log", f"{likelihood.log:,.1f}", Text("a sum", "dim"))
    table.add_row("negative", f"{likelihood.negative:,.1f}", Text("to be made small", "dim"))
    table.add_row("its mean", Text(f"{likelihood.mean:.4f}", "bold"), Text("nats per symbol: the loss", "dim"))
    return Group(table)


def _choice(found: Bigram) -> RenderableType:
    from rich.text import Text

    choice = found.choice
    table = _plain()
    for name, row in (("one-hot @ W", choice.by_product), (f"W[{choice.index}]", choice.by_choice)):
        table.add_row(name, Text(" ".join(f"{x:+.3f}" for x in row[:ENTRIES_SHOWN]) + " …"), "")
    table.add_row("differ by", f"{choice.difference:g}", Text("at most, anywhere", "dim"))
    return table


def _descent(found: Bigram) -> RenderableType:
    from rich.text import Text

    from moreish.faces.draw import bar

    table = grid(["step", "nats", "above the table", ""], "rrrl")
    curve, whole = found.descent.curve, max(found.descent.curve[0].above, 1e-9)
    for step in dict.fromkeys(min(step, curve[-1].step) for step in STEPS_SHOWN):
        each = min(curve, key=lambda r: abs(r.step - step))
        left = Text(bar(each.above / whole, 24), "cyan")
        table.add_row(f"{each.step:,}", f"{each.nats:.4f}", f"{each.above:.5f}", left)
    return table


def _exponentials(found: Bigram) -> RenderableType:
    from rich.text import Text

    from moreish.faces.draw import sign

    e = found.exponentials
    table = grid([f"after {sign(e.symbol)}", "count", "logit", "exp(logit), scaled"])
    for each in e.followers:
        table.add_row(
            Text(sign(each.symbol), "bold"), f"{each.count:,}", f"{each.logit:+.3f}", f"{each.exponential:,.1f}"
        )
    return table


def _smoothing(found: Bigram) -> RenderableType:
    from rich.text import Text

    from moreish.faces.draw import sign

    s = found.smoothing
    table = grid(["", "train", "dev", "distance", f"of {sign(s.common)}", f"of {sign(s.rare)}", "unseen"])
    rows = [("the table", s.none)]
    for each in s.strengths:
        rows += [(f"add {each.k:g}", each.add_k), (f"decay {each.weight_decay:.3g}", each.decayed)]
    for name, row in rows:
        dev = "-" if row.dev is None else f"{row.dev:.4f}"
        far = (f"{x:.3f}" for x in (row.distance, row.common, row.rare))
        table.add_row(Text(name, "bold" if name.startswith("add") else ""), f"{row.train:.4f}", dev, *far,
                      f"{row.unseen:.4f}")  # fmt: skip
    return table


def _starts(found: Bigram) -> RenderableType:
    c = found.convex
    table = grid(["seed", "begins at", f"{c.steps:,} steps", f"decay {c.decay:g}, Newton"])
    for each in c.starts:
        table.add_row(str(each.seed), f"{each.begins:.4f}", f"{each.descent:.6f}", f"{each.newton:.12f}")
    return table


def _lines(found: Bigram) -> RenderableType:
    from rich.text import Text

    table = grid(["along the line between", "t = 0", "1/4", "1/2", "3/4", "1", "rises by"])
    lines = (("one layer", found.convex.line), ("hidden units", found.bent.seeds), ("the same", found.bent.reordered))
    for model, line in lines:
        quarter = (len(line.nats) - 1) // 4
        values = (f"{line.nats[i * quarter]:.3f}" for i in range(5))
        name = Text.assemble((f"{model}: ", "bold"), line.between)
        table.add_row(name, *values, Text(f"{line.barrier:.3f}", "green" if line.barrier < 1e-9 else "red"))
    table.columns[0].justify = "left"
    return table


def _power(log10: float) -> str:
    return f"10^{log10:,.0f}"


def _plain() -> Table:
    """Name, number, remark."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column()
    return table
