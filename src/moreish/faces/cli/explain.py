"""explain: a group of commands, each in a module of its own."""

from __future__ import annotations

import typer

from moreish.faces.cli.command import Command
from moreish.faces.cli.explain_batchnorm import batchnorm
from moreish.faces.cli.explain_bessel import bessel
from moreish.faces.cli.explain_bigram import bigram
from moreish.faces.cli.explain_broadcasting import broadcasting
from moreish.faces.cli.explain_convolution import convolution
from moreish.faces.cli.explain_dimensionality import dimensionality
from moreish.faces.cli.explain_losses import losses
from moreish.faces.cli.explain_minibatch import minibatch
from moreish.faces.cli.explain_optimizability import optimizability
from moreish.faces.cli.explain_tape import tape
from moreish.faces.cli.layout import Group

app = typer.Typer(
    help="What the parts of learning do: measured, drawn, and explained with each figure.",
    epilog="Example: moreish explain bessel names",
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("batchnorm", cls=Command)(batchnorm)
app.command("bessel", cls=Command)(bessel)
app.command("bigram", cls=Command)(bigram)
app.command("broadcasting", cls=Command)(broadcasting)
app.command("convolution", cls=Command)(convolution)
app.command("dimensionality", cls=Command)(dimensionality)
app.command("losses", cls=Command)(losses)
app.command("optimizability", cls=Command)(optimizability)
app.command("minibatch", cls=Command)(minibatch)
app.command("tape", cls=Command)(tape)
