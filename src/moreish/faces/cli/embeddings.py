"""embeddings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from moreish.faces.cli.console import print_json, stdout, working
from moreish.faces.cli.options import Json, RunArgument, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from moreish.explaining.embedding.measures import Embeddings

MOST_WIDE, MOST_HIGH = 100, 24
LISTED = 40
"""Symbols in the terminal's table, the most frequent; --json has them all."""
ROOM_FOR_BOTH = 90
"""Columns from which both measures stand in the table."""


def embeddings(
    run: RunArgument,
    by: Annotated[
        str,
        typer.Option("--by", metavar="distance|cosine", help="What the nearest are by: Euclid's distance or angle."),
    ] = "distance",
    neighbours: Annotated[
        int, typer.Option("--neighbours", parser=whole, metavar="N", help="How many neighbours of each symbol.")
    ] = 5,
    plot: Plot = None,
    dark: Dark = False,
    json: Json = False,
) -> None:
    """What a network made of its symbols: where each stands in the learnt space, and which are near which.

    Drawn exactly where a symbol is two numbers, else along the two directions in which symbols differ most. It says how
    far the picture was learnt at all, and whether its groups are more than chance.

    Example: moreish embeddings runs/mine --plot symbols.png
    """
    check_figure(plot, "", dark)
    from moreish.explaining.embedding.measures import embeddings as measure
    from moreish.runs.directory import load

    with working("loading", quiet=json):
        found = measure(load(run), by=by, neighbours=neighbours)  # type: ignore[arg-type]
    if plot is not None:
        from moreish.faces.plot_embeddings import embeddings_figure

        any_font = plot.lower().endswith(".svg")
        write_figure(plot, partial(embeddings_figure, found, any_font=any_font), dark, quiet=json)
    if json:
        print_json(found.to_dict())
        return
    console = stdout()
    console.print(told(found, console.width))


def told(found: Embeddings, width: int) -> RenderableType:
    """The picture, how to read it, and the neighbours."""
    from rich.console import Group
    from rich.text import Text

    from moreish.explaining.embedding.words import measured_by, read_so, seldom, trust, what

    parts: list[RenderableType] = [
        Text(f"{found.model}: its symbols in {'two dimensions' if found.width != 1 else 'one dimension'}", "bold"),
        Text(what(found), "dim"),
        Text(),
        picture(found, width),
        Text(),
        Text(read_so(found), "dim"),
        *(Text(sentence) for sentence in trust(found)),
    ]
    if (said := seldom(found)) is not None:
        parts.append(Text(said, "dim"))
    parts += [Text.assemble(("! ", "bold yellow"), f"{note[0].upper()}{note[1:]}.") for note in found.notes]
    if any(place.neighbours for place in found.places):
        parts += [Text("\nNearest", "bold"), Text(measured_by(found), "dim"), _neighbours(found, width)]
        if len(found.places) > LISTED:
            parts.append(Text(f"The {LISTED} most frequent; --json has all {len(found.places):,}.", "dim"))
    return Group(*parts)


def picture(found: Embeddings, width: int) -> RenderableType:
    """The symbols on a grid of characters, within a frame; and which colour is which class."""
    from rich.console import Group
    from rich.text import Text

    from moreish.faces.draw_places import COLOURS, character_scatter, label, place_label

    across = min(width - 4, MOST_WIDE)
    high = 3 if found.width == 1 else min(MOST_HIGH, max(8, across // 3))
    styled = [
        (
            place.x, place.y, place_label(place),
            f"bold {COLOURS[place.group - 1]}" if place.group else "dim" if place.what != "symbol" else "bold",
        )
        for place in found.by_frequency[: 3 * high]
    ]  # fmt: skip
    grid, left = character_scatter(styled, across, high)
    edge = "─" * (across + 2)
    framed = Text(f"┌{edge}┐\n", "dim", no_wrap=True, overflow="ignore")
    for row in grid.split("\n"):
        framed.append_text(Text.assemble(("│ ", "dim"), row, (" │\n", "dim")))
    framed.append(f"└{edge}┘", "dim")
    parts: list[RenderableType] = [framed]
    if found.groups:
        for colour, symbols in zip(COLOURS, found.groups):
            parts.append(Text.assemble(("■ ", colour), " ".join(label(symbol) for symbol in symbols[:LISTED])))
    hidden = len(left) + len(found.places) - len(styled)
    if hidden:
        parts.append(Text(f"{hidden:,} found no room in this picture; --plot draws more.", "dim"))
    return Group(*parts)


def _neighbours(found: Embeddings, width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from moreish.faces.draw_places import neighbour_label, place_label

    both = width >= ROOM_FOR_BOTH
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify)
    table.add_row(
        *(
            Text(head, "dim")
            for head in ("symbol", "read", f"nearest first: {'distance (cosine)' if both else found.by}")
        )
    )
    for place in found.by_frequency[:LISTED]:
        cells = Text()
        for near in place.neighbours:
            cosine = "none" if near.cosine is None else f"{near.cosine:.2f}"
            one = f"{near.distance:.2f}" if found.by == "distance" else cosine
            cells.append(neighbour_label(found, near), "bold")
            cells.append(f" {near.distance:.2f} ({cosine})   " if both else f" {one}   ", "dim")
        cells.rstrip()
        times = "" if place.times is None else f"{place.times:,}"
        table.add_row(Text(place_label(place), "bold"), Text(times, "dim"), cells)
    return table
