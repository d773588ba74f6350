"""find-lr."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moreish.faces.cli.console import print_json, stdout
from moreish.faces.cli.learn import parse_settings
from moreish.faces.cli.measuring import followed, read_corpus
from moreish.faces.cli.options import (
    Column,
    Device,
    Encoding,
    Field,
    Json,
    ListArgument,
    Normalize,
    Split,
    SplitSeed,
    Symbols,
    check_device,
    number,
    read_options,
    whole,
)
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.learning.finder import FoundRate

TRYING = "The search"
ROWS = 20
BAR, LEAST_BAR = 36, 8
BESIDE_THE_BAR = 52
"""Columns that the rate, the loss and the words take."""


def find_lr(
    context: typer.Context,
    source: ListArgument,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Which network: see `moreish models`.")] = "mlp",
    low: Annotated[
        float | None,
        typer.Option(
            "--low", parser=number, metavar="RATE", rich_help_panel=TRYING,
            help="The lowest rate tried, as a rate: 0.0001, or 1e-4. [default: by the optimizer]",
        ),
    ] = None,
    high: Annotated[
        float | None,
        typer.Option(
            "--high", parser=number, metavar="RATE", rich_help_panel=TRYING,
            help="The highest. [default: 10 for sgd, 1 for adamw and muon]",
        ),
    ] = None,
    points: Annotated[
        int, typer.Option("--points", parser=whole, metavar="N", help="Rates tried.", rich_help_panel=TRYING)
    ] = 100,
    scale: Annotated[
        str,
        typer.Option(
            "--scale", metavar="log|linear", rich_help_panel=TRYING,
            help="log: evenly spaced exponents, 10 ** linspace. linear: evenly spaced rates.",
        ),
    ] = "log",
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", parser=whole, metavar="N", rich_help_panel=TRYING,
            help="Trainings, each from other weights and batches; their losses are averaged.",
        ),
    ] = 3,
    steps_per_point: Annotated[
        int | None,
        typer.Option(
            "--steps-per-point", parser=whole, metavar="N", rich_help_panel=TRYING,
            help="Steps taken at each rate. [default: 1, and up to 4 where batches are small]",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", parser=whole, metavar="N", help="Of the first training; the others count on from it.",
            rich_help_panel=TRYING,
        ),
    ] = 0,
    plot: Plot = None,
    dark: Dark = False,
    device: Device = "cpu",
    split: Split = "unique",
    split_seed: SplitSeed = 42,
    symbols: Symbols = "characters",
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:  # fmt: skip
    """The learning rate that suits a model and a list: tries a hundred on short trainings, and suggests one.

    Any other flag is a setting of the model or of learning, as `moreish train` takes them: the optimizer, the batch and
    the schedule decide which rate is best. Nothing is kept but the plot. Where the loss never falls there is no
    suggestion (null in JSON), and a sentence says why.

    Example: moreish find-lr names --model mlp --optimizer sgd --plot lr.png
    """
    options = read_options(encoding, normalize, column, field)
    asked = parse_settings(context.args, model)
    check_figure(plot, source, dark)
    from moreish.learning.finder import FoundRate, tries

    where = check_device(device)
    corpus = read_corpus(source, json, split=split, split_seed=split_seed, symbols=symbols, options=options)
    told = tries(
        corpus, model, low=low, high=high, points=points, scale=scale, seeds=seeds, steps_per_point=steps_per_point,
        seed=seed, device=where, **asked,
    )  # fmt: skip
    found = followed(told, FoundRate, f"{model}: trying rates", json)
    from moreish.faces.plot import rate_figure

    write_figure(plot, partial(rate_figure, found), dark, quiet=json)
    if json:
        print_json(found.to_dict())
        return
    console = stdout()
    console.print(rates_table(found, max(LEAST_BAR, min(BAR, console.width - BESIDE_THE_BAR))))
    if found.suggestion is not None:
        console.print(f"Next: {_next(source, model, found.suggestion, context.args)}", markup=False, soft_wrap=True)


def rates_table(found: FoundRate, width: int) -> RenderableType:
    """The curve as bars, one row for a few rates, and what was read off it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from moreish.faces.draw import bar

    shown = [p for p in found.points if p.smoothed is not None]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(justify="right")
    table.add_column(style="cyan")
    table.add_column()
    table.add_row("rate", Text("loss", "dim"), Text("nats per symbol, smoothed", "dim"), "")
    size = -(-len(found.points) // ROWS)
    losses = [p.smoothed for p in shown[: 1 + len(shown) // 2] if p.smoothed is not None]
    least = min((p.smoothed for p in shown if p.smoothed is not None), default=0.0)
    most = max(losses, default=1.0)
    for first in range(0, len(found.points), size):
        some = found.points[first : first + size]
        middle = some[len(some) // 2]
        after = found.points[first + size].lr if first + size < len(found.points) else float("inf")
        words = ", ".join(
            word
            for word, rate in (
                ("falls fastest", found.low),
                ("falls no further", found.high),
                ("suggestion", found.suggestion),
                ("explodes", found.diverges_at),
            )
            if rate is not None and (first == 0 or some[0].lr <= rate * 1.005) and rate * 1.005 < after
        )
        loss = middle.smoothed
        drawn = "" if loss is None else bar((loss - least) / max(most - least, 1e-9), width) or "▏"
        style = "bold green" if "suggestion" in words else "yellow" if words else ""
        table.add_row(f"{middle.lr:.2g}", "broken" if loss is None else f"{loss:.3f}", drawn, Text(words, style))
    parts: list[Any] = [Text(f"{found.model} by {found.optimizer}", "bold"), table, Text()]
    if found.suggestion is None:
        parts.append(Text.assemble(("No suggestion: ", "bold yellow"), f"{found.reason}."))
    else:
        parts.append(Text.assemble((f"Suggestion: {found.suggestion:g}", "bold green"), f" ({found.reason})."))
    if found.diverges_at is not None:
        parts.append(Text(f"From {found.diverges_at:g} on learning explodes.", "dim"))
    return Group(*parts)


def _next(source: str, model: str, rate: float, settings: list[str]) -> str:
    import shlex

    return shlex.join(["moreish", "train", source, "--model", model, "--lr", f"{rate:g}", *settings])
