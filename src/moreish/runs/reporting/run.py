"""The report's first sections: what was trained on what, how it was split, and the doctor's word on the list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from moreish.errors import counted
from moreish.learning.recipe import Trained, learning_keys
from moreish.models.catalog import find_model
from moreish.runs.reporting.section import Column, Picture, Remark, Section, Table, explained, figures_of, shortened
from moreish.text.hygiene import Hygiene

MOST_SYMBOLS = 40
SPLITS = {
    "unique": "by unique item: no held-out line is among those learnt",
    "lecture": "the lectures' own, by line: repeated lines stand on both sides",
    "none": "none: every line was learnt",
}


@dataclass(frozen=True)
class Making:
    """What was made of what."""

    model: str = explained("model", "", "Which model of the catalog; `moreish models NAME` tells of it.")
    parameters: int = explained("parameters", "", "Numbers learnt: weights of a network, or n-grams seen and counted.")
    method: str = explained(
        "method", "", "How it learnt: counting, minibatches, descent on the whole list, closed form."
    )
    step: int = explained("step", "", "Steps of learning behind the weights that this report is about.")
    seed: int = explained("seed", "", "It decides the weights at the start, the batches and dropout.")
    list: str = explained("list", "", "What it learnt from, as it was given.")
    train: int = explained("train", "lines", "Lines that were learnt.")
    dev: int = explained("dev", "lines", "Lines held out, for choosing between models and settings.")
    test: int = explained("test", "lines", "Lines held out, to be looked at once, at the end.")
    test_looks: int = explained(
        "looks at test", "times", "Each look makes the next figure on test a little less honest."
    )
    split: str = explained("split", "", "How lines were held out.")
    leaks: bool = explained("leaks", "", "Whether figures on held-out lines may rest on lines that were learnt.")
    symbols: int = explained("alphabet", "symbols", "Different symbols in the list, the boundary of lines not counted.")
    kind: str = explained("kind of symbol", "", "What counts as one symbol: characters, graphemes, words or bytes.")
    written_by: str = explained("written by", "", "The version of Moreish that trained it.")


@dataclass(frozen=True)
class Listed:
    """The doctor's figures on the list."""

    lines: int = explained("lines", "lines", "Lines of the list, as the run keeps them.")
    unique_lines: int = explained("unique", "lines", "Different lines among them.")
    duplicate_lines: int | None = explained(
        "repeats", "lines", "Lines that repeat an earlier one; a split by line would put some on both sides.",
        unknown="The run keeps each line once. `moreish inspect LIST` counts the repeats.",
    )  # fmt: skip
    look_alikes: int = explained(
        "look-alikes", "lines", "Lines equal to an earlier one but for case, accents, punctuation and spaces."
    )
    probable_typos: int | None = explained(
        "one edit apart", "pairs", "Pairs of lines of eight or more symbols that differ in one place: slips, at times."
    )
    shortest: int = explained("shortest line", "symbols", "In Unicode characters.")
    mean_length: float = explained("mean length", "symbols", "Of all lines; the line's end is not counted.", places=1)
    longest: int = explained("longest line", "symbols", "In Unicode characters.")
    symbols: int = explained("different symbols", "", "Unicode characters that stand in the list.")
    rare_symbols: int = explained(
        "rare symbols", "", "Symbols seen three times or fewer, too rare to learn; looked for from a thousand lines on."
    )
    unseen_symbols: int = explained(
        "symbols without a look", "", "Symbols that cannot be seen, or not told from a space: often an accident."
    )


@dataclass(frozen=True)
class Lengths:
    """How many lines there are of each length."""

    lengths: dict[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"lengths": {str(length): count for length, count in sorted(self.lengths.items())}}


def run_section(trained: Trained, step: int, looks: int, version: str) -> Section:
    """What was trained, on what, and how it was split."""
    corpus, recipe = trained.corpus, trained.recipe
    remarks = []
    if corpus.note:
        remarks.append(Remark("warning" if corpus.leaks else "plain", f"{corpus.note[:1].upper()}{corpus.note[1:]}."))
    if recipe.why:
        remarks.append(Remark("plain", f"Why this model: {recipe.why}"))
    split = "over folds: too short to hold lines out for good" if corpus.kfold else SPLITS[corpus.split]
    if _is_one_line(trained):
        split = "none: one unique line leaves nothing to hold out"
    listed = Making(
        recipe.model, trained.parameters, recipe.method, step, recipe.seed, shortened(corpus.name), len(corpus.train),
        len(corpus.dev), len(corpus.test), looks, split, corpus.leaks, len(trained.alphabet) - 1,
        trained.alphabet.kind, version,
    )  # fmt: skip
    figures = figures_of(listed)
    if trained.hashes is not None:  # the parts are empty, which does not mean that there were no lines
        figures = tuple(figure for figure in figures if figure.name not in ("train", "dev", "test"))
    return Section(
        "run", "The run", "What was trained, on what, and which lines were held out.",
        tuple(remarks), figures, (_settings(trained),),
    )  # fmt: skip


def summary(trained: Trained) -> str:
    """What was trained on what, and how honest its figures are, in a sentence or two."""
    corpus = trained.corpus
    lines = "lines of which it kept only hashes" if trained.hashes is not None else counted(len(corpus.train), "line")
    held = "Every line takes its turn to be held out." if corpus.kfold else f"Split {SPLITS[corpus.split]}."
    if _is_one_line(trained):
        held = "One unique line leaves nothing to hold out."
    leaks = " Figures on held-out lines may rest on lines that were learnt." if corpus.leaks else ""
    return (
        f"A model of {trained.parameters:,} parameters, learnt from {lines} of {shortened(corpus.name)}. {held}{leaks}"
    )


def _is_one_line(trained: Trained) -> bool:
    return trained.corpus.kfold and trained.hashes is None and len(trained.corpus.train) == 1


def _settings(trained: Trained) -> Table:
    """The model's settings and those of learning, each with its meaning, as the configs tell it."""
    recipe = trained.recipe
    config = trained.model.config
    rows: list[tuple[Any, ...]] = [
        (key.name, str(getattr(config, key.name)), "model", key.meaning)
        for key in find_model(recipe.model).settings()
        if key.settable and hasattr(config, key.name)
    ]
    if recipe.method == "minibatches":
        rows += [
            (name, str(getattr(recipe, name)), "learning", meaning) for name, (_, meaning) in learning_keys().items()
        ]
    elif recipe.method == "gradient":
        keys = learning_keys()
        rows += [
            (name, str(getattr(recipe, name)), "learning", keys[name][1]) for name in ("steps", "lr", "weight_decay")
        ]
    columns = (
        Column("setting", "setting", "As a flag of `moreish train`, with two dashes before it."),
        Column("value", "value", "What this run was given, or was tuned to."),
        Column("of", "of", "Whether it is the model's or of how it learns."),
        Column("meaning", "meaning", "What it does."),
    )
    return Table("settings", "Settings", columns, tuple(rows), "" if rows else "This model has nothing to set.")


def list_section(trained: Trained) -> Section:
    """The doctor's word on the list."""
    title, about = "The list", "What is wrong with the list, before any model: repeats, look-alikes, odd symbols."
    if trained.hashes is not None:
        missing = "This run kept only hashes of its list. `moreish inspect LIST` examines the list itself."
        return Section("list", title, about, missing=missing)
    found = trained.corpus.hygiene
    remarks = [Remark("warning", warning) for warning in found.warnings]
    remarks += [] if found.warnings else [Remark("good", "Nothing to complain of.")]
    repeats = None if trained.corpus.split == "unique" else found.duplicate_lines
    figures = Listed(
        found.lines, found.unique_lines, repeats, found.look_alikes, found.probable_typos, found.shortest,
        found.mean_length, found.longest, len(found.symbols), len(found.rare_symbols), len(found.control_symbols),
    )  # fmt: skip
    sentence = (
        f"Lines of each length. Half of them have at most {_median(found.lengths):,} symbols, and the longest "
        f"{found.longest:,}; a tail far to the right is often something that is no line of its kind."
    )
    picture = Picture("lengths", "lengths", "How long the lines are", sentence, Lengths(found.lengths))
    return Section(
        "list", title, about, tuple(remarks),
        figures_of(figures, {"probable_typos": f"Not looked for: {found.probable_typos_reason}."}),
        tuple(_examples(found)), (picture,),
    )  # fmt: skip


def _examples(found: Hygiene) -> list[Table]:
    """The most common symbols, and examples of each fault where there are any."""
    line = Column("line", "line", "As it stands in the list.")
    times = Column("times", "times", "How often.")
    tables = []
    if found.most_repeated:
        rows = tuple((shortened(text), count) for text, count in found.most_repeated.items())
        tables.append(Table("most_repeated", "Most repeated", (line, times), rows))
    for name, title, pairs in (
        ("look_alikes", "Look-alikes", found.look_alike_examples),
        ("one_edit_apart", "One edit apart", found.probable_typo_examples),
    ):
        if pairs:
            rows = tuple((shortened(pair[0]), shortened(pair[1])) for pair in pairs)
            other = Column("other", "like", "The line that it is like.")
            tables.append(Table(name, title, (line, other), rows))
    if found.control_symbols:
        columns = (
            Column("code", "code", "Its Unicode code point."), Column("name", "name", "Its Unicode name."), times,
        )  # fmt: skip
        rows = tuple((odd.code, odd.name, odd.count) for odd in found.control_symbols[:MOST_SYMBOLS])
        tables.append(Table("unseen_symbols", "Symbols without a look", columns, rows))
    if found.rare_symbols:
        columns = (Column("symbol", "symbol", "It itself."), times)
        rows = tuple(list(found.rare_symbols.items())[:MOST_SYMBOLS])
        tables.append(Table("rare_symbols", "Rare symbols", columns, rows))
    return tables


def _median(lengths: dict[int, int]) -> int:
    counted = Counter(lengths)
    half, seen = counted.total() / 2, 0
    for length in sorted(counted):
        seen += counted[length]
        if seen >= half:
            return length
    return max(counted)
