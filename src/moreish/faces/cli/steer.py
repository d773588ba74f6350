"""steer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import working
from moreish.faces.cli.measuring import followed, grid, show
from moreish.faces.cli.options import Device, Json, RunArgument, check_device, number, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.generating.steer import Steered, Steering


def steer(
    run: RunArgument,
    temperatures: Annotated[
        str, typer.Option("--temperatures", metavar="T,T...", help="Temperatures to draw at, with commas between.")
    ] = "0.6,0.8,1,1.2",
    typical: Annotated[
        str, typer.Option("--typical", metavar="TAU,TAU...", help="Typicalities, each at temperature 1; '' for none.")
    ] = "0.9,0.5",
    count: Annotated[
        int, typer.Option("-n", "--count", parser=whole, metavar="N", help="Lines drawn for each setting.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", parser=whole, metavar="N", help="Of all that is drawn.")] = 0,
    device: Device = "cpu",
    plot: Plot = None,
    dark: Dark = False,
    json: Json = False,
) -> None:
    """What temperature and typicality do to a run's lines: their entropy, their cost, and how new and varied they are.

    For each setting lines are drawn and measured; beside them stand real lines that the model never saw. By it choose
    a --temperature or --typical for `moreish sample`.

    Example: moreish steer runs/names-ngram-1 --temperatures 0.5,1 --typical 0.9
    """
    check_figure(plot, "", dark)
    temperature_list, typical_list = _numbers("--temperatures", temperatures), _numbers("--typical", typical)
    from moreish.faces.plot_steer import steering_figure
    from moreish.generating.steer import Steering, check_steering, steered
    from moreish.runs.directory import load

    check_steering(temperature_list, typical_list, count, seed)
    with working("loading", quiet=json):
        trained = load(run, check_device(device))
    events = steered(trained, temperature_list, typical_list, count=count, seed=seed)
    found = followed(events, Steering, "drawing", json)
    show(found, told, steering_figure, plot, dark, json)


def told(found: Steering) -> RenderableType:
    """A row for each setting, one for real lines, and how to read them."""
    from rich.console import Group
    from rich.text import Text

    from moreish.text.alphabet import printable

    heads = ["", "bits", "nats", "new", "95 %", "near", "distinct", "cut", "length"]
    table = grid(heads, "l" + "r" * (len(heads) - 1))
    for row in found.settings:
        table.add_row(*_cells(row, named(row)))
    if found.held_out is not None:
        table.add_row(*_cells(found.held_out, "real, held out"))
    name = printable(found.run)
    words = (
        f"{found.count:,} lines for each setting, drawn with seed {found.seed}.",
        "bits: the entropy of what each symbol was drawn from, on average.",
        "nats: what the lines cost per symbol under the model as it is.",
        "new: not among the run's lines, and its 95 % interval.",
        "near: of the new ones, one edit from a line of the run (of real lines: from one of train).",
    )
    return Group(Text(f"{name}: {found.model}", "bold"), table, Text(), *(Text(each, "dim") for each in words))


def named(row: Steered) -> str:
    """A setting in words."""
    if row.typical is not None:
        return f"typical {row.typical:g}"
    return "as it is" if row.temperature == 1 else f"temperature {row.temperature:g}"


def _cells(row: Steered, name: str) -> list[str]:
    interval = None if row.new_low is None else f"{100 * row.new_low:.0f}-{100 * (row.new_high or 0):.0f} %"
    return [
        name,
        _figure(row.entropy_bits, "{:.3f}"),
        _figure(row.nats_per_symbol, "{:.3f}"),
        _figure(row.new, "{:.1%}"),
        interval or "–",
        *(_figure(share, "{:.1%}") for share in (row.near, row.distinct, row.cut)),
        _figure(row.mean_length, "{:.1f}"),
    ]


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value).replace("%", " %")


def _numbers(flag: str, text: str) -> list[float]:
    """Numbers with commas between; none where there is only white space.

    Raises:
        UsageError: something between the commas is no number.
    """
    if not text.strip():
        return []
    try:
        return [number(piece.strip()) for piece in text.split(",")]
    except typer.BadParameter as error:
        raise UsageError(f"{flag} {text!r:.60}: {error} Give numbers with commas between, such as 0.8,1.") from None
