"""Runs from models of makemore.py: from the `model.pt` that it leaves in its working directory, and its list.

Source: Karpathy, makemore.py: `torch.save(model.state_dict(), "model.pt")` of its bigram, mlp, rnn, gru, bow or
transformer, and `create_datasets`, which reads the list. The names of the tensors say which model it is, and their
shapes its sizes. Two things stand nowhere in the file: how many heads of a transformer attend, and the alphabet, which
makemore takes from its list; so the list must come along.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from moreish.errors import CheckpointError, UsageError
from moreish.exchange.makemore_models import HEADS, Found, convert, recognise, wrong_mask
from moreish.exchange.state_dict import read_state_dict
from moreish.learning.recipe import Recipe, Trained
from moreish.text.alphabet import printable
from moreish.text.corpus import SPLIT_SEED, Corpus, Split
from moreish.text.lines import Lines
from moreish.text.reading import ReadOptions, ReadReport, blocks


def import_makemore(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    heads: int | None = None,
    split: Split = "unique",
    split_seed: int = SPLIT_SEED,
    encoding: str = "utf-8",
) -> Trained:
    """A model of makemore.py with the list that it learnt, ready to sample, score and evaluate.

    makemore learns by a split of its own, so lines that ours holds out may be among those learnt: `corpus.leaks` is
    true and `corpus.note` says so, whatever the split. A list too short to hold lines out is not split at all, for
    weights that were learnt elsewhere cannot be learnt again fold by fold.

    Args:
        path: its `model.pt`.
        source: the list that it learnt: a path, `-`, or the name of a bundled list.
        heads: of a transformer; 4 if None, as makemore.py has it. No file says how many there were.
        split, split_seed: as in `Corpus.read`.
        encoding: the list's.

    Raises:
        CheckpointError: the file is damaged, or no state dict of makemore.py.
        ConfigError: its sizes, or that many heads, cannot be.
        UsageError: heads for a model without any, or a list of other symbols.
        ListError: the list cannot be read.
        StorageError: the file cannot be read.
    """
    path, found = Path(path), []
    shown = printable(str(path))
    tensors = read_state_dict(path, lambda shapes: found.append(recognise(shapes, heads)))
    (which,) = found
    if (mask := wrong_mask(tensors)) is not None:
        raise CheckpointError(
            f"{shown}: its mask {mask!r} does not hide just the symbols to come, as makemore.py's does. Have "
            f"makemore.py save it anew."
        )
    corpus = _read_list(source, split, split_seed, encoding)
    _check_symbols(corpus, which, shown)
    recipe = Recipe(
        model=which.model, settings=which.settings, method="imported", split=corpus.split, split_seed=split_seed,
        why=_where_from(which, corpus, path.name, heads),
    )  # fmt: skip
    return Trained(convert(which, tensors), corpus.alphabet, replace(corpus, elsewhere=True), recipe)


def _read_list(source: str | os.PathLike[str], split: Split, split_seed: int, encoding: str) -> Corpus:
    """A list as makemore reads it: not brought to NFC, split where `str.splitlines` does, white space around taken off.

    Ours keeps that white space, and knows no other ends of lines than newlines.
    """
    report = ReadReport()
    lines = Lines.load(blocks(source, ReadOptions(encoding=encoding, normalize="none"), report))
    words = Lines.of(word for line in lines for word in map(str.strip, line.splitlines()) if word)
    corpus = Corpus.of(words, name=report.name, split=split, split_seed=split_seed, report=report)
    return Corpus.of(words, name=report.name, split="none", report=report) if corpus.kfold else corpus


def _check_symbols(corpus: Corpus, which: Found, shown: str) -> None:
    asked = which.sizes["V"] - 1
    if len(corpus.alphabet.symbols) != asked:
        raise UsageError(
            f"{shown} is of {asked:,} symbols and the boundary; {corpus.name} has {corpus.alphabet.describe()}. "
            f"Give --list the list that the model learnt, as it was then."
        )


def _where_from(which: Found, corpus: Corpus, name: str, heads: int | None) -> str:
    """Where the model comes from and what had to be taken on trust, for `Recipe.why`."""
    said = [f"the {which.kind} of makemore.py in {printable(name)[:200]}"]
    if which.kind == "transformer" and heads is None:
        said.append(f"{HEADS} heads taken, for it does not say")
    places = which.sizes.get("C", which.sizes.get("T"))
    if places is not None and places != corpus.longest + 1:
        said.append(f"it learnt lines of up to {places - 1}, and this list's are of up to {corpus.longest}: "
                    f"perhaps another list")  # fmt: skip
    return "; ".join(said)
