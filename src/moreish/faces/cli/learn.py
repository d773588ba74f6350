"""train, resume, score, export."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from moreish.errors import ConfigError, UsageError, did_you_mean
from moreish.faces.cli.console import check_out, note, print_json, stdout, working, write_out
from moreish.faces.cli.measuring import read_corpus
from moreish.faces.cli.options import (
    LEARNING,
    OUTPUT,
    Column,
    Device,
    Encoding,
    Field,
    Json,
    ListArgument,
    Normalize,
    RunArgument,
    Split,
    SplitSeed,
    Symbols,
    check_device,
    number,
    read_options,
    whole,
)


def train(
    context: typer.Context,
    source: ListArgument,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Which model: see `moreish models`.")] = "ngram",
    run: Annotated[
        str | None, typer.Option("--run", metavar="DIR", help="Where to keep it. [default: runs/<list>-<model>-N]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    keep_list: Annotated[
        bool, typer.Option("--keep-list/--no-keep-list", help="Keep the lines in the run, or only their hashes.")
    ] = True,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", parser=whole, metavar="N", help="Decides weights, batches and dropout.", rich_help_panel=LEARNING
        ),
    ] = 0,
    time: Annotated[
        float | None,
        typer.Option(
            "--time", parser=number, metavar="SECONDS", help="Plan the steps so that learning ends in this time.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    closed_form: Annotated[
        bool, typer.Option("--closed-form", help="One-layer: the logarithms of the counts.", rich_help_panel=LEARNING)
    ] = False,
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
    """Learn a list, and keep what was learnt in a run directory.

    Any other flag is a setting of the model, such as --order 4 or --hidden 200, or of learning, such as --steps 2000,
    --lr 0.1, --optimizer sgd, --batch 32: `moreish models NAME` lists them all. What is not set is tuned to the model
    and the size of the list.

    Example: moreish train names --model mlp --time 30 --run runs/mine
    """
    options = read_options(encoding, normalize, column, field)
    asked = parse_settings(context.args, model)
    from moreish.learning.fit import events, make_recipe
    from moreish.runs.place import check_free, free_directory
    from moreish.runs.recording import record

    where = check_device(device)
    if run is not None:
        check_free(_path(run), overwrite)
    corpus = read_corpus(source, json, split=split, split_seed=split_seed, symbols=symbols, options=options)
    if model == "auto":
        with working("choosing a model", quiet=json):
            recipe = _chosen(corpus, seed, time, where)
    else:
        recipe = make_recipe(corpus, model, seed=seed, closed_form=closed_form, time=time, device=where, **asked)
    directory = _path(run) if run is not None else free_directory(corpus.name, recipe.model)
    told = record(
        events(corpus, recipe, where), corpus, recipe, directory, keep_list=keep_list, overwrite=overwrite,
        device=where,
    )  # fmt: skip
    _follow(told, str(directory), json)


def resume(
    run: RunArgument,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cpu|cuda|mps", help="Where to compute. [default: as before]")
    ] = None,
    json: Json = False,
) -> None:
    """Go on with a training that was cut off: from its newest checkpoint, or from the start where it has none.

    The result is the same to the bit as if it had never stopped. Of a run that is finished, nothing is changed.

    Example: moreish resume runs/mine
    """
    from moreish.runs.recording import resume as go_on

    _follow(go_on(_path(run), None if device is None else check_device(device)), run, json)


def _chosen(corpus: Any, seed: int, time: float | None, device: str) -> Any:
    from moreish.learning.choose import choose
    from moreish.learning.fit import make_recipe

    name, settings, why = choose(corpus, time, device, evaluated=True)
    return make_recipe(corpus, name, seed=seed, why=why, device=device, **settings)


def _follow(told: Any, directory: str, json: bool) -> None:
    """Show a training's events as they come, and its result at the end."""
    from moreish.faces.terminal import training_summary
    from moreish.faces.training import following
    from moreish.learning.fit import Evaluated, Finished
    from moreish.runs.checkpoint import Saved

    evaluated = finished = saved = None
    with following(directory, quiet=json) as show:
        for event in told:
            show(event)
            match event:
                case Evaluated():
                    evaluated = event.evaluation
                case Saved():
                    saved = event
                case Finished():
                    finished = event
    if finished is None or saved is None:
        if json:
            print_json({"run": directory, "resumed": False})
        else:
            note(f"{directory} is finished: there is nothing to go on with.")
        return
    trained = finished.trained
    if json:
        print_json(
            {
                "run": directory,
                "model": trained.recipe.model,
                "step": saved.step,
                "parameters": trained.parameters,
                "checkpoint": str(saved.path),
                "sha256": saved.sha256,
                "split": trained.corpus.split,
                "leaks": trained.corpus.leaks,
                "evaluation": evaluated.to_dict() if evaluated else None,
            }
        )
        return
    stdout().print(training_summary(trained, evaluated))


def score(
    run: RunArgument,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="The lines to score.")],
    json: Json = False,
) -> None:
    """How likely a run finds given lines: negative log-probability in nats, symbol by symbol. Lower is likelier.

    Example: moreish score runs/names-ngram-1 emma xqzk
    """
    from moreish.faces.terminal import score_table
    from moreish.learning.score import score as measure
    from moreish.runs.directory import load

    scored = measure(load(run), texts)
    if json:
        print_json({"texts": [one.to_dict() for one in scored]})
        return
    stdout().print(score_table(scored))


def export(
    run: RunArgument,
    to: Annotated[str, typer.Option("--to", metavar="arpa", help="The format.")],
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="FILE", help="Write to this file.", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Write a run's model in another program's format: `arpa`, which KenLM, SRILM and others read.

    Example: moreish export runs/names-ngram-1 --to arpa -o names.arpa
    """
    import sys

    from moreish.exchange.arpa import to_arpa
    from moreish.runs.directory import load

    if out is not None:
        check_out(out, "")
    if to != "arpa":
        raise UsageError(f"no format is called {to!r}. There are: arpa.")
    text = to_arpa(load(run))
    if out is None:
        sys.stdout.write(text)
        return
    write_out(out, text)
    note(f"wrote {out}")


def parse_settings(arguments: list[str], model: str) -> dict[str, Any]:
    """Settings of a model and of learning from flags such as `--order 4`, named and typed as the configs' fields are.

    Raises:
        ConfigError: there is no such model or setting, or its value is not of its type.
    """
    if model == "auto":
        if arguments:
            flag = arguments[0].partition("=")[0]
            raise ConfigError(f"{flag} is a setting of one model, and auto sets its own. Add --model ngram, say.")
        return {}
    from moreish.learning.recipe import learning_keys
    from moreish.models.catalog import find_model

    entry = find_model(model)
    defaults = {key.name: key.default for key in entry.settings() if key.settable}
    keys = {name.replace("_", "-"): name for name in (*defaults, *learning_keys())}
    own = list(keys) if entry.learns_by_gradient else [name.replace("_", "-") for name in defaults]
    defaults = {**{name: default for name, (default, _) in learning_keys().items()}, **defaults}
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        name = flag.removeprefix("--")
        if not flag.startswith("--") or name not in keys:
            there = did_you_mean(name, own) if own else "It has none."
            raise ConfigError(f"{model} has no setting {flag!r:.40}. {there}")
        default = defaults[keys[name]]
        if not equals:
            if isinstance(default, bool) and (not rest or rest[0].startswith("--")):
                value = "true"
            elif not rest:
                raise ConfigError(f"--{name} has no value. Give one, such as --{name} {default}.")
            else:
                value = rest.pop(0)
        if keys[name] in settings:
            raise ConfigError(f"--{name} is given twice. Give it once.")
        settings[keys[name]] = _typed(name, value, default)
    return settings


def _typed(name: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise ConfigError(f"--{name}={value[:40]!r} is neither true nor false. Use one of those.")
        return value.lower() == "true"
    if isinstance(default, int):
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            raise ConfigError(f"--{name}={value[:40]!r} is not a whole number. Use digits only, such as {default}.")
        return int(value)
    if isinstance(default, float):
        try:
            return number(value)
        except typer.BadParameter:
            raise ConfigError(
                f"--{name}={value[:40]!r} is not a number. Use digits, such as {default or 0.1}."
            ) from None
    return value


def _path(run: str):
    from pathlib import Path

    if not run or "\0" in run:
        raise UsageError(f"{run!r} is no name for a directory. Give one, such as --run runs/mine.")
    return Path(run)
