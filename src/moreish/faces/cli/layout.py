"""What `--help` looks like: sections with room for the eye, in plain text.

typer draws its help with rich's Markdown, whose parser alone takes as long to load as typer and rich together; with
plain sections `moreish --help` answers twice as soon.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperGroup

from moreish.errors import UsageError, did_you_mean

OPTIONS, ARGUMENTS, COMMANDS = "Options", "Arguments", "Commands"


def write_options(command: Any, context: Any, formatter: Any) -> None:
    """A command's arguments and options, under the headings of their panels."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        usual = ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS
        sections.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
    for title, rows in sections.items():
        with formatter.section(title):
            formatter.write_dl(rows)


class Group(TyperGroup):
    """The commands under the headings of their panels. A wrong name is answered with a near one, or with all."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            raise UsageError(f"{self.name} has no command {word!r:.60}. {did_you_mean(word, self.commands)}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            title = getattr(command, "rich_help_panel", None) or COMMANDS
            sections.setdefault(title, []).append((name, _first_words(command.help or "")))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _first_words(text: str) -> str:
    """A docstring's first sentence, as far as its first colon, semicolon or stop: it is whole by itself."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"[:;.] |[:;.]$", first)[0] + "."
