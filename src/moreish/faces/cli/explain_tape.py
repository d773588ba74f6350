"""explain tape: what a file of Python computes with torch, and every gradient of it."""

from __future__ import annotations

from typing import Annotated

import typer

from moreish.faces.cli.console import print_json, stdout
from moreish.faces.cli.options import Json
from moreish.faces.cli.plots import Dark, Drawing, check_drawing, write_drawing


def tape(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A small file of Python that computes with torch.")],
    require_grad: Annotated[
        bool,
        typer.Option("--require-grad", help="Let every tensor that is made from no other ask for a gradient."),
    ] = False,
    plot: Drawing = None,
    dark: Dark = False,
    json: Json = False,
) -> None:
    """Every value and gradient of a computation: runs a file of your own, and shows the rules of backpropagation in it.

    The file is run as it stands. Backward starts from the variable loss or L, else from the last scalar that wants a
    gradient, or where the file itself calls backward(). What it prints goes to standard error.

    Example: moreish explain tape expression.py --plot graph.svg
    """
    check_drawing(plot, file, dark)
    from moreish.explaining.taping.script import tape_of

    found = tape_of(file, require_grad)
    write_drawing(plot, found.svg, dark, quiet=json)
    if json:
        print_json(found.to_dict())
        return
    console = stdout()
    console.print(found.text(console.width), markup=False, soft_wrap=True)
