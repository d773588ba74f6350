"""Lists learnt before: `moreish more` learns a list once and knows it again by its fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moreish.errors import ListError, MoreishError, RunError, StorageError
from moreish.learning.choose import choose, part_of, steps_in
from moreish.learning.fit import fit, make_recipe
from moreish.learning.plan import check_seconds
from moreish.learning.recipe import Trained
from moreish.runs.directory import load, remove
from moreish.runs.place import RUN_FILE
from moreish.runs.recording import save
from moreish.storage import cache_directory, exists, make_directory, names
from moreish.text.corpus import Corpus
from moreish.text.reading import ReadOptions, ReadReport, blocks

TIME = 30.0
"""Seconds that a list may take to learn, unless told otherwise."""
RECIPES = 2
"""Raised whenever the same request would now be learnt differently, so that older runs are not taken for it."""
MOST_KEPT = 32
OURS = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Learnt:
    """A trained model, one sentence on why it was chosen, and what there is to warn of."""

    trained: Trained
    why: str
    warnings: list[str]
    known: bool


def learn_once(
    source: str,
    options: ReadOptions,
    symbols: str,
    model: str,
    settings: dict[str, Any],
    *,
    time: float = TIME,
    fresh: bool = False,
) -> Learnt:
    """Learn a list, or take what was learnt of it before.

    Args:
        model: an id of MODELS, or `auto`.
        time: seconds that learning may take; decides what `auto` chooses.
        fresh: learn again even if this list is known.

    Raises:
        MoreishError: the list cannot be read or learnt. A cache that cannot be used is a warning, not an error.
    """
    check_seconds(time)
    report = ReadReport()
    corpus: Corpus | None = None
    if source == "-":
        corpus = Corpus.read(source, symbols=symbols, options=options)  # type: ignore[arg-type]
        report, fingerprint = corpus.report or report, corpus.fingerprint
    else:
        for _ in blocks(source, options, report):
            pass
        fingerprint = report.sha256
    asked = json.dumps([RECIPES, fingerprint, symbols, model, settings, time], sort_keys=True)
    key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    place = cache_directory() / key
    with suppress(MoreishError):  # a damaged one is learnt anew
        if not fresh and exists(place / RUN_FILE):
            trained = load(place)
            if trained.corpus.fingerprint != fingerprint:
                raise RunError(f"{place} holds another list. It is learnt anew.")
            trained = replace(trained, corpus=replace(trained.corpus, name=report.name))
            return Learnt(trained, trained.recipe.why, report.warnings, known=True)
    corpus = corpus or Corpus.read(source, symbols=symbols, options=options)  # type: ignore[arg-type]
    if corpus.fingerprint != fingerprint:
        raise ListError(f"{report.name} changed while it was read. Let it rest and run the command again.")
    if model == "auto":
        name, chosen, why = choose(corpus, time)
    else:
        name, chosen, why = model, dict(settings), f"{model}, as asked for"
        if "steps" not in settings:
            steps, full = steps_in(corpus, make_recipe(corpus, model, **settings), time)
            if steps < full:
                chosen["steps"] = steps
                why += f"; {part_of(time, steps, full)}"
    trained = fit(corpus, name, why=why, **chosen)
    warnings = list(report.warnings)
    try:
        make_directory(place.parent)
        trained = save(trained, place, overwrite=True)
        _prune(place.parent)
    except (StorageError, RunError) as error:
        warnings.append(f"what was learnt is not kept for next time: {error}")
    return Learnt(trained, trained.recipe.why, warnings, known=False)


def _prune(cache: Path) -> None:
    """Keep the newest runs only, so that the cache does not grow for ever."""
    written: list[tuple[float, Path]] = []
    for name in filter(OURS.fullmatch, names(cache)):  # the directory may hold runs of the user's own
        with suppress(OSError):  # no run, or another process removed it
            written.append(((cache / name / RUN_FILE).stat().st_mtime, cache / name))
    for _, old in sorted(written, reverse=True)[MOST_KEPT:]:
        with suppress(MoreishError, OSError):
            remove(old)
