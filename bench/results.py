"""bench/results.jsonl: what was learnt from a list, by which recipe, at which commit. Appended to, never rewritten.

A result belongs to its recipe, not to a row of some table: whatever row asks for that recipe again finds it there, and
a row whose recipe is changed finds none and is run again.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from moreish import Corpus, Recipe
from moreish.models.catalog import MODELS, find_model
from moreish.models.model import config_to_dict
from moreish.storage import append_line, read_journal

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results.jsonl"
OUT = ROOT / "out" / "quality"
"""Where the runs are kept (not committed), and the locks of those who are at work."""
UNSAID = ("why", "watch_every")
"""What decides nothing."""

Result = dict[str, Any]
Description = dict[str, Any]


def describe(recipe: Recipe, corpus: Corpus, start: dict[str, float] | None = None) -> Description:
    """Everything that decides what is learnt: the recipe, every setting of the model, the list, how weights begin."""
    said = {name: value for name, value in recipe.to_dict().items() if name not in UNSAID}
    config = find_model(recipe.model).configure(symbols=len(corpus.alphabet), **recipe.settings)
    said["settings"] = {name: value for name, value in config_to_dict(config).items() if name != "symbols"}
    said["list"] = corpus.fingerprint
    if start:
        said["start"] = start
    return said


def same(stored: Any, asked: Any, defaults: dict[str, Any] | None = None) -> bool:
    """Whether a stored description is the one asked for.

    What it does not know, because Moreish has learnt it since, must be at its default, which is taken to be as before.
    """
    if not isinstance(stored, dict) or not isinstance(asked, dict):
        return stored == asked
    if stored.keys() - asked.keys():
        return False
    known = defaults if defaults is not None else defaults_of(asked)
    for key, value in asked.items():
        below = known.get(key)
        if key not in stored:
            if key not in known or known[key] != value:
                return False
        elif not same(stored[key], value, below if isinstance(below, dict) else None):
            return False
    return True


def defaults_of(asked: Description) -> dict[str, Any]:
    """The defaults of a recipe and, under `settings`, of its model."""
    known: dict[str, Any] = {f.name: f.default for f in fields(Recipe)}
    if asked.get("model") in MODELS:
        known["settings"] = {key.name: key.default for key in MODELS[asked["model"]].settings()}
    return known if "model" in asked else {}


def find(results: list[Result], asked: Description, part: str = "dev") -> Result | None:
    """The newest result of a recipe on a part of the list."""
    return next((r for r in reversed(results) if r["part"] == part and same(r["recipe"], asked)), None)


def read() -> list[Result]:
    """All results, oldest first."""
    return read_journal(RESULTS)[0] if RESULTS.exists() else []


def add(row: str, asked: Description, part: str, figures: dict[str, Any]) -> Result:
    """Append a result. Several processes may do so at once."""
    result = {"row": row, "part": part, **figures, "on": str(date.today()), "commit": commit(), "recipe": asked}
    OUT.mkdir(parents=True, exist_ok=True)
    with FileLock(OUT / "results.lock"):
        append_line(RESULTS, json.dumps(result, ensure_ascii=False))
    return result


def commit() -> str:
    """The commit that is checked out; with a + where the source differs from it."""
    try:
        named = _git("rev-parse", "--short=10", "HEAD")
        return named + ("+" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):  # no git here, or no checkout
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
