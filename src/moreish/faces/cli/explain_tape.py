"""explain tape: what a file of Python computes with torch, and every gradient of it."""

from __future__ import annotations

from typing import Annotated

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import print_json, stdout, write_out
from moreish.faces.cli.options import OUTPUT, Json
from moreish.faces.cli.plots import check_drawing


def tape(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A small file of Python that computes with torch.")],
    require_grad: Annotated[
        bool,
        typer.Option("--require-grad", help="Let every tensor that is made from no other ask for a gradient."),
    ] = False,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Draw the graph into this .svg file. Its directory is made.",
        ),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw it on dark paper.", rich_help_panel=OUTPUT)] = False,
    json: Json = False,
) -> None:
    """Every value and gradient of a computation: runs a file of your own, and shows the rules of backpropagation in it.

    The file is run as it stands. Backward starts from the variable loss or L, else from the last scalar that wants a
    gradient, or where the file itself calls backward(). What it prints goes to standard error.

    Example: moreish explain tape expression.py --plot graph.svg
    """
    if dark and plot is None:
        raise UsageError("--dark is about the drawing. Give --plot FILE.svg too, or leave it out.")
    if plot is not None:
        check_drawing(plot, file)
    from moreish.explaining.taping.script import tape_of

    found = tape_of(file, require_grad)
    if plot is not None:
        write_out(plot, found.svg(dark))
    if json:
        print_json(found.to_dict())
        return
    console = stdout()
    console.print(found.text(console.width), markup=False, soft_wrap=True)
