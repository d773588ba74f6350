"""What `--help` looks like: sections with room for the eye, in plain text.

typer draws its help with rich's Markdown, whose parser alone takes as long to load as typer and rich together; with
plain sections `moreish --help` answers twice as soon.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperGroup

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
    """The commands under the headings of their panels."""

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
    """A docstring's first sentence, as far as its first colon, comma or stop."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"[:.,] |[:.]$", first)[0] + "."
