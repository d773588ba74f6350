"""train, evaluate, score, export."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from moreish.errors import ConfigError, UsageError, did_you_mean
from moreish.faces.cli.console import check_out, note, print_json, stdout, working, write_out
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
        int, typer.Option("--seed", parser=whole, metavar="N", help="Seed of the weights.", rich_help_panel=LEARNING)
    ] = 0,
    steps: Annotated[
        int | None,
        typer.Option("--steps", parser=whole, metavar="N", help="Steps of descent.", rich_help_panel=LEARNING),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", parser=number, metavar="X", help="Learning rate.", rich_help_panel=LEARNING)
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay", parser=number, metavar="X", help="Add X times the mean squared weight to the loss.",
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

    Any other flag is a setting of the model, such as --order 4 or --smoothing witten-bell: `moreish models NAME`
    lists them.

    Example: moreish train names --model ngram --order 4 --run runs/mine
    """
    options = read_options(encoding, normalize, column, field)
    settings = parse_settings(context.args, model)
    from moreish.faces.terminal import training_summary
    from moreish.learning.fit import Evaluated, Finished, Step, events, make_recipe
    from moreish.runs.checkpoint import Saved
    from moreish.runs.directory import check_free, free_directory, record
    from moreish.text.corpus import Corpus

    where = check_device(device)
    if run is not None:
        check_free(_path(run), overwrite)
    with working(f"reading {source}", quiet=json):
        corpus = Corpus.read(source, split=split, split_seed=split_seed, symbols=symbols, options=options)  # type: ignore[arg-type]
    _warn(corpus.report)
    recipe = make_recipe(
        corpus, model, seed=seed, closed_form=closed_form, steps=steps, lr=lr, weight_decay=weight_decay, **settings
    )
    directory = _path(run) if run is not None else free_directory(corpus.name, model)
    evaluated = trained = saved = None
    with working(f"learning {corpus.name}") as update:
        for event in record(
            events(corpus, recipe, where), corpus, recipe, directory, keep_list=keep_list, overwrite=overwrite
        ):
            match event:
                case Step():
                    update(event.step, recipe.steps)
                case Evaluated():
                    evaluated = event.evaluation
                case Saved():
                    saved = event
                case Finished():
                    trained = event.trained
    assert trained is not None and saved is not None
    if json:
        print_json(
            {
                "run": str(directory),
                "model": model,
                "step": saved.step,
                "parameters": trained.parameters,
                "checkpoint": str(saved.path),
                "sha256": saved.sha256,
                "split": corpus.split,
                "leaks": corpus.leaks,
                "evaluation": evaluated.to_dict() if evaluated else None,
            }
        )
        return
    stdout().print(training_summary(trained, evaluated))


def evaluate(
    run: RunArgument,
    part: Annotated[str, typer.Option("--part", metavar="dev|test|train", help="Which part of the list.")] = "dev",
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """How well a run predicts a part of its list it did not learn from.

    Looks at the test part are counted in the run, and the count is said: choose by dev, look at test once.

    Example: moreish evaluate runs/names-ngram-1
    """
    from moreish.faces.terminal import evaluation_table
    from moreish.learning.evaluate import evaluate as measure
    from moreish.runs.directory import count_looks, load, record_look

    with working("evaluating", quiet=json):
        trained = load(run, check_device(device))
        found = measure(trained, part)
    looks = record_look(run, "test") if found.part == "test" else count_looks(run)
    if json:
        print_json({**found.to_dict(), "run": run, "test_looks": looks})
        return
    stdout().print(evaluation_table(found, looks))


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
    """A model's settings from flags such as `--order 4`, named and typed as its config's fields are.

    Raises:
        ConfigError: there is no such model or setting, or its value is not of its type.
    """
    if model == "auto":
        if arguments:
            flag = arguments[0].partition("=")[0]
            raise ConfigError(f"{flag} is a setting of one model, and auto sets its own. Add --model ngram, say.")
        return {}
    from moreish.models.catalog import find_model

    keys = {key.name.replace("_", "-"): key for key in find_model(model).settings() if key.settable}
    settings: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        name = flag.removeprefix("--")
        if not flag.startswith("--") or name not in keys:
            there = did_you_mean(name, keys) if keys else "It has none."
            raise ConfigError(f"{model} has no setting {flag!r:.40}. {there}")
        if not equals:
            if not rest:
                raise ConfigError(f"--{name} has no value. Give one, such as --{name} {keys[name].default}.")
            value = rest.pop(0)
        if keys[name].name in settings:
            raise ConfigError(f"--{name} is given twice. Give it once.")
        settings[keys[name].name] = _typed(name, value, keys[name].default)
    return settings


def _typed(name: str, value: str, default: Any) -> Any:
    if isinstance(default, int) and not isinstance(default, bool):
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            raise ConfigError(f"--{name}={value[:40]!r} is not a whole number. Use digits only, such as {default}.")
        return int(value)
    return value


def _path(run: str):
    from pathlib import Path

    if not run or "\0" in run:
        raise UsageError(f"{run!r} is no name for a directory. Give one, such as --run runs/mine.")
    return Path(run)


def _warn(report: Any) -> None:
    for warning in report.warnings if report else ():
        note(f"warning: {warning}")
