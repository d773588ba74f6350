"""watch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moreish.faces.cli.console import note, print_json, stdout
from moreish.faces.cli.options import Json, RunArgument, whole
from moreish.faces.cli.plots import Dark, Plot, check_figure, write_figure

if TYPE_CHECKING:
    from moreish.runs.vitals import WatchedRun


def watch(
    run: RunArgument,
    step: Annotated[
        int | None, typer.Option("--step", parser=whole, metavar="N", help="Which reading. [default: the last]")
    ] = None,
    plot: Plot = None,
    dark: Dark = False,
    json: Json = False,
) -> None:
    """A network's vitals while it learnt: activations, gradients, updates, site by site, and what is normal.

    They are taken at the first step, every --watch-every steps of `moreish train` and at the last. The figure has the
    lectures' four plots (activations and gradients by layer, the weights' gradients, update:data over the steps) and
    the loss.

    Example: moreish watch runs/mine --plot vitals.png
    """
    check_figure(plot, run, dark)
    from moreish.runs.vitals import vitals

    found = vitals(run)
    now = found.at(step)
    if found.torn:
        note(f"warning: {found.torn_said}")
    from moreish.faces.plot_watch import watch_figure

    write_figure(plot, partial(watch_figure, found, now.step), dark, quiet=json)
    if json:
        print_json(as_values(found, now.step))
        return
    from moreish.faces.watching import watch_table

    console = stdout()
    console.print(watch_table(found, now.step, console.width))


def as_values(found: WatchedRun, step: int) -> dict[str, Any]:
    """What --json prints."""
    from dataclasses import asdict

    now, first, noise = found.at(step), found.readings[0], found.noise(step)
    return {
        "run": found.run,
        "model": found.recipe.model,
        "steps": found.recipe.steps,
        "batch": found.recipe.batch,
        "batch_of": found.recipe.batch_of,
        "readings": [one.step for one in found.readings],
        "first_loss": first.loss if first.step == 1 else None,
        "losses": [[at, loss] for at, loss in found.losses],
        "update_to_data": {
            p.name: [one.parameters[i].update_to_data for one in found.readings] for i, p in enumerate(now.parameters)
        },
        "noise_scale": None if noise is None else asdict(noise),
        **now.to_dict(),
    }
