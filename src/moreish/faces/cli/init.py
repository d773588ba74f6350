"""init."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import print_json, stdout
from moreish.faces.cli.measuring import followed, read_corpus
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListOrNames, Normalize, number, read_options, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.initialization.flow import Flow, Initialization, Layer

NETWORK = "The network"
MOST_ROWS = 12
"""Layers in a table; of a deeper network some are left out."""
BAR, LEAST_BAR = 16, 8
BESIDE_THE_BARS = 62
"""Columns that all else takes."""


def gain_number(text: str | float) -> float:
    """A gain: a number, a fraction such as 5/3, or the name of a nonlinearity that has one."""
    if isinstance(text, (int, float)):
        return float(text)
    if found := re.fullmatch(r"([0-9.eE+-]{1,40})/([0-9.eE+-]{1,40})", text):
        above, below = number(found[1]), number(found[2])
        if below == 0:
            raise typer.BadParameter(f"{text[:40]!r} divides by zero. Use a fraction such as 5/3.")
        return above / below
    if text.isascii() and text.isalpha() and text.lower() not in ("nan", "inf", "infinity"):
        from moreish.errors import did_you_mean
        from moreish.layers import GAINS

        if text not in GAINS:
            raise typer.BadParameter(
                f"no gain is called {text[:40]!r}. {did_you_mean(text, GAINS)} Or give a number, such as 1.2 or 5/3."
            )
        return GAINS[text]
    return number(text)


def init(
    source: ListOrNames = "names",
    how: Annotated[
        str,
        typer.Option(
            "--init", "--initialization", metavar="NAME", rich_help_panel=NETWORK,
            help="How weights begin, as `moreish train` has it: kaiming, xavier, lsuv, over-confident, …",
        ),
    ] = "kaiming",
    depth: Annotated[
        int,
        typer.Option(
            "--depth", parser=whole, metavar="N", rich_help_panel=NETWORK, help="Layers, the last included: 2 to 50."
        ),
    ] = 6,
    width: Annotated[
        int, typer.Option("--width", parser=whole, metavar="N", rich_help_panel=NETWORK, help="Units of each layer.")
    ] = 100,
    nonlinearity: Annotated[
        str,
        typer.Option(
            "--nonlinearity", metavar="NAME", rich_help_panel=NETWORK, help="tanh, relu, gelu, sigmoid or linear."
        ),
    ] = "tanh",
    gain: Annotated[
        float | None,
        typer.Option(
            "--gain", parser=gain_number, metavar="G", rich_help_panel=NETWORK,
            help="Of kaiming and xavier: 1.2, 5/3, or tanh, relu, … [default: by the nonlinearity; of xavier 1]",
        ),
    ] = None,
    batchnorm: Annotated[
        bool | None,
        typer.Option(
            "--batchnorm/--no-batchnorm", rich_help_panel=NETWORK, help="With it or without. [default: both]"
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", parser=whole, metavar="N", rich_help_panel=NETWORK, help="Windows in a batch.")
    ] = 32,
    steps: Annotated[
        int,
        typer.Option(
            "--steps", parser=whole, metavar="N", rich_help_panel=NETWORK,
            help="Steps of SGD at a rate of 0.1 first; the lecture shows its network after 1000.",
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option("--seed", parser=whole, metavar="N", help="Of the weights and the batches.")
    ] = 0,
    plot: Plot = None,
    dark: Dark = False,
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:  # fmt: skip
    """How a deep network begins: its activations and gradients, layer by layer, with and without BatchNorm.

    The lecture's network on windows of a list, of any depth, its weights begun by any of the names that `moreish train
    --initialization` takes. Says whether signals die down or grow by depth, how fast, and what saturates.

    Example: moreish init --depth 6 --gain 5/3 --plot init.png
    """
    options = read_options(encoding, normalize, column, field)
    check_figure(plot, source, dark)
    from moreish.explaining.initialization.flow import Initialization, measured
    from moreish.explaining.initialization.words import verdict_on

    corpus = read_corpus(source, json, options=options)
    events = measured(
        corpus, init=how, depth=depth, width=width, nonlinearity=nonlinearity, gain=gain, batchnorm=batchnorm,
        batch=batch, steps=steps, seed=seed,
    )  # fmt: skip
    found = followed(events, Initialization, "measuring", json)
    from moreish.faces.plot_init import init_figure

    write_figure(plot, partial(init_figure, found), dark, quiet=json)
    if json:
        print_json({**found.to_dict(), "verdicts": [verdict_on(flow).to_dict() for flow in found.networks]})
        return
    console = stdout()
    bars = min(BAR, (console.width - BESIDE_THE_BARS) // 2)
    console.print(told(found, bars if bars >= LEAST_BAR else 0))


def told(found: Initialization, bars: int) -> RenderableType:
    """A table and a verdict for each network, and a sentence for each figure."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.initialization.words import explained, heading, measured_on, network_named, verdict_on
    from moreish.text.alphabet import printable

    parts: list[RenderableType] = [
        Text(f"{heading(found)}, on {printable(found.list)}", "bold"),
        Text(measured_on(found), "dim"),
    ]
    for flow in found.networks:
        verdict = verdict_on(flow)
        good = {verdict.activations, verdict.gradients} <= {"steady", None} and not verdict.saturated + verdict.dead
        parts += [
            Text(f"\n{network_named(flow)}", "bold"),
            _table(found, flow, bars),
            Text(verdict.sentence, "green" if good else "yellow"),
        ]
    parts.append(Text())
    names = {"flat": "off" if found.nonlinearity == "relu" else "saturated", "ratio": "grad : data"}
    for name, sentence in explained(found).items():
        parts.append(Text.assemble((f"{names.get(name, name)}: ", "dim bold"), (sentence, "dim")))
    return Group(*parts)


def _table(found: Initialization, flow: Flow, bars: int) -> Table:
    """A row for each layer, or for some of a deep network: the first and the last always."""
    from rich.table import Table
    from rich.text import Text

    has_flat = flow.layers[0].flat is not None
    flat = "off" if found.nonlinearity == "relu" else "saturated"
    heads = ["layer", "mean", "deviation", *([flat] if has_flat else []), "gradient", "grad : data"]
    table = Table.grid(padding=(0, 2))
    for _ in heads:
        table.add_column(justify="right", no_wrap=True)
    if bars:
        heads += ["deviation", "gradient"]
        table.add_column(style="cyan", min_width=bars)
        table.add_column(style="magenta", min_width=bars)
    table.add_row(*(Text(head, "dim") for head in heads))
    for layer in _shown(flow.layers):
        cells = [
            Text(str(layer.layer), "bold"),
            f"{layer.mean:+.2f}" if abs(layer.mean) < 1e4 else f"{layer.mean:+.0e}",
            _short(layer.deviation),
            *([f"{100 * layer.flat:.1f} %" if layer.flat is not None else ""] if has_flat else []),
            f"{layer.gradient_deviation:.1e}",
            "" if layer.ratio is None else f"{layer.ratio:.1e}",
        ]
        table.add_row(*cells, *(_bars(flow.layers, layer, bars) if bars else ()))
    return table


def _shown(layers: list[Layer]) -> list[Layer]:
    if len(layers) <= MOST_ROWS:
        return layers
    *hidden, last = layers
    rows = MOST_ROWS - 1
    return [*(hidden[round(i * (len(hidden) - 1) / (rows - 1))] for i in range(rows)), last]


def _short(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 1e-3 <= value < 1e4 else f"{value:.1e}"


def _bars(layers: list[Layer], layer: Layer, width: int) -> tuple[str, str]:
    """The hidden layers' deviations, linearly; all gradients by their powers of ten. The logits get no bar."""
    from math import log10

    from moreish.faces.draw import bar

    hidden = layers[:-1]
    most = max(each.deviation for each in hidden) or 1.0
    powers = [log10(each.gradient_deviation) for each in layers if each.gradient_deviation]
    low, high = min(powers, default=0.0), max(powers, default=0.0)
    low = min(low, high - 1) - 0.1  # so that what is alike looks alike
    size = (log10(layer.gradient_deviation) - low) / (high - low) if layer.gradient_deviation else 0.0
    return "" if layer is layers[-1] else bar(layer.deviation / most, width), bar(size, width)
