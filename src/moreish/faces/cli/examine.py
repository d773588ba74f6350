"""inspect, show, models, lists."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moreish.errors import UsageError, did_you_mean
from moreish.faces.cli.console import note, print_json, print_lines, stdout, working
from moreish.faces.cli.options import Column, Encoding, Field, Json, ListArgument, Normalize, RunArgument, read_options


def inspect(
    source: ListArgument,
    column: Column = None,
    field: Field = None,
    encoding: Encoding = "utf-8",
    normalize: Normalize = "NFC",
    json: Json = False,
) -> None:
    """What is wrong with a list, before a model learns it: duplicates, look-alikes, typos, odd symbols, leaks.

    Example: moreish inspect names
    """
    from moreish.faces.terminal import hygiene_report
    from moreish.text.hygiene import inspect as examine

    with working(f"reading {source}", quiet=json):
        found = examine(source, read_options(encoding, normalize, column, field))
    if json:
        print_json(found.to_dict())
        return
    stdout().print(hygiene_report(found))


def show(run: RunArgument, json: Json = False) -> None:
    """What a run is: its recipe, its list, its checkpoints, and what has happened in it.

    Example: moreish show runs/names-ngram-1
    """
    from moreish.faces.terminal import run_table
    from moreish.runs.directory import describe

    found = describe(run)
    if json:
        print_json(found)
        return
    stdout().print(run_table(found))


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A model; leave out to list them.")] = None,
    of: Annotated[str | None, typer.Option("--of", metavar="RUN", help="Draw the table of this run's bigram.")] = None,
    json: Json = False,
) -> None:
    """The models there are; with a NAME every key, default and meaning; with --of a bigram's table, drawn.

    Example: moreish models bigram --of runs/names-bigram-1
    """
    from moreish.faces.terminal import catalog_table, settings_table
    from moreish.models.catalog import MODELS, find_model

    if of is not None:
        _draw_table(name, of, json)
        return
    if name is None:
        rows = [{"model": entry.name, "title": entry.title} for entry in MODELS.values()]
        print_json({"models": rows}) if json else stdout().print(catalog_table(rows))
        return
    entry = find_model(name)
    keys = [
        {"key": key.name, "default": key.default, "meaning": key.meaning, "settable": key.settable}
        for key in entry.settings()
    ]
    learning = _learning_keys(entry) if entry.learns_by_gradient else []
    reach = getattr(entry.configure(symbols=2), "receptive_field", None)
    if json:
        found = {"model": entry.name, "title": entry.title, "keys": keys, "learning": learning}
        print_json({**found, "receptive_field": reach})
        return
    stdout().print(settings_table(entry.name, entry.title, keys, learning, reach))


def lists(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this list's lines.")] = None,
    json: Json = False,
) -> None:
    """The lists that come with Moreish; with a NAME, its lines.

    Example: moreish lists dinosaurs
    """
    from moreish.faces.terminal import lists_table
    from moreish.text.lists import bundled

    there = bundled()
    if name is not None:
        if name not in there:
            raise UsageError(f"no list is called {name!r:.60}. {did_you_mean(name, there)}")
        texts = there[name].path.read_text(encoding="utf-8").splitlines()
        print_json({"name": name, "lines": texts}) if json else print_lines(texts)
        return
    rows: list[dict[str, Any]] = [
        {"name": one.name, "lines": one.lines, "title": one.title, "source": one.source} for one in there.values()
    ]
    print_json({"lists": rows}) if json else stdout().print(lists_table(rows))


def _learning_keys(entry: Any) -> list[dict[str, Any]]:
    """How a network learns: every key with its default for this model; null where the list's size decides."""
    from moreish.learning.recipe import learning_keys
    from moreish.learning.recipes import defaults

    own = defaults(entry.name)
    return [
        {"key": name, "default": own.get(name), "meaning": meaning} for name, (_, meaning) in learning_keys().items()
    ]


def _draw_table(name: str | None, run: str, json: bool) -> None:
    from moreish.faces.draw import has_colour
    from moreish.faces.terminal import bigram_picture
    from moreish.learning.tables import bigram_table
    from moreish.runs.directory import load

    trained = load(run)
    if name is not None and name != trained.recipe.model:
        raise UsageError(f"{run} holds the model {trained.recipe.model}, not {name}. Give --of a run of {name}.")
    table = bigram_table(trained)
    if json:
        print_json(table.to_dict())
        return
    console = stdout()
    console.print(bigram_picture(table, console.width, has_colour(console)), soft_wrap=True)
    if table.left_out:
        note(f"{table.left_out} rarer symbols are left out of the picture; --json has them all.")
