"""What every command has in common: how its flags are sorted before they are read, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from moreish.errors import UsageError, did_you_mean
from moreish.faces.cli.console import note
from moreish.faces.cli.layout import write_options

STOPPED = 130


class Command(TyperCommand):
    """A command that takes each flag once, ends quietly when nobody reads on, and says when it is stopped."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_options(self, ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        sort_out(args, self.get_params(ctx))  # refuses what is given twice
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:  # the reader has seen enough, as with `| head`
            abandon_output()
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            note("stopped.")
            raise typer.Exit(STOPPED) from None


class LearningCommand(Command):
    """A command that takes the settings of models and of learning as flags too, wherever they stand.

    `ctx.args` gets them.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known, settings = sort_out(args, self.get_params(ctx))
        if settings:
            self._check_names(ctx, settings)
        super().parse_args(ctx, known)
        ctx.args = settings
        return settings

    def _check_names(self, ctx: Any, settings: list[str]) -> None:
        from moreish.learning.recipe import learning_keys
        from moreish.models.catalog import MODELS

        own = {key.name for model in MODELS.values() for key in model.settings() if key.settable}
        names = {f"--{name.replace('_', '-')}" for name in own | learning_keys().keys()}
        flags = {flag for each in self.get_params(ctx) for flag in each.opts if flag.startswith("--")}
        for word in settings:
            flag = word.partition("=")[0]
            if flag.startswith("--") and flag not in names:
                raise UsageError(f"{self.name} has no flag {flag!r:.60}. {did_you_mean(flag, flags | names)}")


def sort_out(args: Sequence[str], parameters: Sequence[Any]) -> tuple[list[str], list[str]]:
    """A command line in two: what the command's own parameters take, and unknown `--flags` with a value each.

    Raises:
        UsageError: one of the command's flags is given twice.
    """
    flags = {flag: each for each in parameters for flag in (*each.opts, *each.secondary_opts) if flag.startswith("-")}
    known: list[str] = []
    others: list[str] = []
    given: set[str] = set()
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            known += [word, *rest]
            break
        flag, _, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        if flag in flags:
            if flags[flag].name in given:
                raise UsageError(f"{flag} is given twice. Give it once.")
            given.add(flags[flag].name)
            known.append(word)
            if not (value or "=" in word or flags[flag].is_flag):
                known += rest[:1]
                del rest[:1]
        elif word.startswith("--"):
            others.append(word)
            if "=" not in word and rest and not rest[0].startswith("--"):
                others.append(rest.pop(0))
        else:
            known.append(word)
    return known, others


def abandon_output() -> None:
    """Nobody reads standard output any more: what is still to be written goes nowhere, and without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
