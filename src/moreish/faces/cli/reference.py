"""The command reference, made from the commands themselves: `python -m moreish.faces.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from moreish.faces.cli import app
from moreish.models.catalog import MODELS

HEAD = """# Commands

Made from the commands themselves by `make docs`; a test says so when it is out of date. Every command takes `--help`.
Results go to standard output, everything else to standard error. Exit codes: 0 done (fewer lines found than asked for
is done too), 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""


def reference() -> str:
    """The whole reference as Markdown."""
    group: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in _commands(group):
        parts += [f"## moreish {name}\n", _prose(command.help or ""), _table(command)]
    parts.append("## Settings of the models\n")
    parts.append("`train` and `more` take these as flags, by the model's own config.\n")
    for entry in MODELS.values():
        rows = [f"| `--{key.name}` | `{key.default}` | {key.meaning} |" for key in entry.settings() if key.settable]
        there = "\n".join(["| flag | default | meaning |", "|---|---|---|", *rows]) if rows else "No settings."
        parts.append(f"**{entry.name}**: {entry.title}.\n\n{there}\n")
    return "\n".join(parts)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its name; those of a group in the group's place."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _prose(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    shown = [f"`{p.removeprefix('Example: ')}`" if p.startswith("Example: ") else p for p in paragraphs]
    return "\n\n".join(shown) + "\n"


def _table(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            rows.append(f"| `{parameter.metavar or parameter.name}` | {parameter.help or ''} | |")
            continue
        flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
        default = parameter.default
        shown = "" if default in (None, "", False) or parameter.secondary_opts else f"`{default}`"
        value = "" if parameter.is_flag else f" `{parameter.metavar or parameter.name.upper()}`".replace("|", "\\|")
        rows.append(f"| {flags}{value} | {(parameter.help or '').replace('|', '/')} | {shown} |")
    return "\n".join(["| argument or flag | meaning | default |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(reference(), end="")
