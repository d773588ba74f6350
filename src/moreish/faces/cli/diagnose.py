"""diagnose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moreish.errors import UsageError
from moreish.faces.cli.console import print_json, stdout
from moreish.faces.cli.learn import parse_settings
from moreish.faces.cli.measuring import followed, read_corpus
from moreish.faces.cli.options import (
    Column,
    Device,
    Encoding,
    Field,
    Json,
    Normalize,
    Split,
    SplitSeed,
    Symbols,
    check_device,
    read_options,
    whole,
)

DOCTOR = "The doctor"


def diagnose(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[LIST|RUN]", help="A file, `-`, a bundled list's name, or a run directory."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Which network, for a list. [default: mlp]")
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Mend the likeliest fault, run again by the same seed, and show before and after.",
            rich_help_panel=DOCTOR,
        ),
    ] = False,
    plant: Annotated[
        str | None,
        typer.Option("--plant", metavar="FAULT", help="Put this fault in first.", rich_help_panel=DOCTOR),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option("--faults", help="List the faults that it knows, and stop.", rich_help_panel=DOCTOR),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option("--seed", parser=whole, metavar="N", help="Of the training. [default: 0, or the run's]"),
    ] = None,
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
    """A doctor for trainings: names what is wrong, cites the number and its threshold, and proves the fix.

    A short training, at most 400 steps, is observed from outside; of a run its own recipe is run again from the start.
    Any other flag is a setting of the model or of learning, as in `moreish train`, so it can be asked about. Nothing is
    kept, and a run is left as it is.

    Example: moreish diagnose names --model mlp --lr 3 --optimizer sgd --fix
    """
    if faults:
        _list_faults(json)
        return
    if source is None:
        raise UsageError("there is nothing to diagnose. Give a list or a run: moreish diagnose names --model mlp.")
    options = read_options(encoding, normalize, column, field)
    where = check_device(device)
    from moreish.learning.doctor.diagnosis import Diagnosis, diagnosing

    start, asked = _start(source, model, context.args, json, where, split, split_seed, symbols, options)
    events = diagnosing(
        start, model if asked is not None else None, fix=fix, plant=plant, seed=seed, device=where, **(asked or {})
    )
    found = followed(events, Diagnosis, "observing a training", json)
    if json:
        print_json(found.to_dict())
        return
    from moreish.faces.doctor import shown

    stdout().print(shown(found))


def _start(
    source: str, model: str | None, settings: list[str], json: bool, where: str, split: str, split_seed: int,
    symbols: str, options: Any,
) -> tuple[Any, dict[str, Any] | None]:  # fmt: skip
    """The run, or the list with what was asked of its model (None for a run)."""
    from pathlib import Path

    from moreish.runs.directory import load

    if source != "-" and Path(source).is_dir():
        if model is not None or settings:
            said = "--model" if model is not None else settings[0].partition("=")[0]
            raise UsageError(f"{said} was decided when {source} was made. Leave it out, or give a list.")
        return load(source, where), None
    asked = parse_settings(settings, model or "mlp")
    corpus = read_corpus(source, json, split=split, split_seed=split_seed, symbols=symbols, options=options)
    return corpus, asked


def _list_faults(json: bool) -> None:
    from rich.text import Text

    from moreish.learning.doctor.faults import FAULTS

    if json:
        print_json({"faults": [{"fault": f.name, "models": f.models} for f in FAULTS.values()]})
        return
    for fault in FAULTS.values():
        models = ", ".join(fault.models) or "a list's, so it cannot be planted"
        stdout().print(Text.assemble((fault.name, "bold"), f"  {fault.what}\n", (f"    {models}", "dim")))
