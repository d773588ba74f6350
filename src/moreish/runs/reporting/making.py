"""The report's sections on what it makes, and on what it made of its symbols."""

from __future__ import annotations

from dataclasses import dataclass

from moreish.errors import MoreishError
from moreish.explaining.embedding.measures import Embeddings, embeddings
from moreish.explaining.embedding.words import measured_by, read_so, seldom, trust, what
from moreish.generating.sample import FEW_AT_ONCE, sample
from moreish.learning.recipe import Trained
from moreish.runs.reporting.section import (
    Column,
    Picture,
    Remark,
    Section,
    Table,
    explained,
    figures_of,
    sentence,
    shortened,
)
from moreish.shapes import BOUNDARY_SIGN
from moreish.text.alphabet import sign

MOST_NEIGHBOURS = 30
"""Symbols whose neighbours are listed, the most frequent."""
DRAWN = FEW_AT_ONCE
"""Lines drawn to know how new they are; fewer are shown, those that `moreish sample --seed 0` gives."""
NOT_KEPT = "The run kept no lines to compare with."


@dataclass(frozen=True)
class Novelty:
    """How new what it makes is."""

    seed: int = explained("seed", "", "The same seed gives the same lines.")
    drawn: int = explained("drawn", "lines", "Lines drawn to know how new they are; fewer are shown.")
    new: float | None = explained(
        "new", "share", "Of the drawn, how many stand nowhere in the list.", unknown="Nothing was drawn."
    )
    low: float | None = explained(
        "new, at least",
        "share",
        "The lower end of that share's 95 % interval (Wilson's).",
        unknown="Nothing was drawn.",
    )
    high: float | None = explained("new, at most", "share", "Its upper end.", unknown="Nothing was drawn.")
    near: float | None = explained(
        "near copies", "share", "Of the new ones, how many are one edit from a line of the list.", unknown=NOT_KEPT
    )
    held_out_near: float | None = explained(
        "near, of real lines", "share",
        "The same of real unseen lines, dev against train: near the share above, being near is no fault.",
        unknown="There are no lines to compare: none held out, or none kept.",
    )  # fmt: skip


@dataclass(frozen=True)
class Space:
    """The space that the symbols are in."""

    width: int = explained("numbers each", "", "How many numbers stand for a symbol.")
    shown: float | None = explained(
        "shown", "share", "How much of the rows' variance lies along the picture's axes; the rest does not show.",
        unknown="All rows are the same.",
    )  # fmt: skip
    at_start: float | None = explained(
        "shown at the start", "share", "What two such axes held before learning, when all rows were random.",
        unknown="All of it is shown, or how it began is not known.",
    )  # fmt: skip
    moved: float | None = explained(
        "moved", "share",
        "How far rows went while learning, as a share of their length. Below a third, the picture is mostly where they "
        "were drawn.",
        unknown="How it began is not known.",
    )  # fmt: skip
    closeness: float | None = explained(
        "closeness of classes", "times",
        "How far apart symbols of one class are, against any two. Classes are of symbols that follow and precede like "
        "symbols in the list.",
        places=2, unknown="Too few symbols for classes, or the run kept no lines.",
    )  # fmt: skip
    as_close: float | None = explained(
        "as close by chance", "share",
        "Of 1,000 random classes of the same sizes, how many are as close. Few: no accident.",
        unknown="Too few symbols for classes, or the run kept no lines.",
    )  # fmt: skip


def samples_section(trained: Trained, seed: int, count: int) -> Section:
    """Lines that it makes, each with an honest word on where it comes from."""
    title, about = "What it makes", "Lines drawn from it as it is, and whether each is new."
    try:
        lines = sample(trained, count, seed=seed).lines
        found = sample(trained, max(count, DRAWN), seed=seed)
    except MoreishError as error:
        return Section("samples", title, about, missing=f"Nothing could be drawn: {error}")
    rates = found.novelty
    figures = Novelty(seed, found.drawn, rates.rate, rates.low, rates.high, rates.near_rate, rates.held_out_near_rate)
    columns = (
        Column("text", "line", "As it was drawn."),
        Column(
            "origin", "origin", "new; near copy (new, but one edit from a line of the list); copy (it is in the list)."
        ),
        Column("near", "one edit from", "The line of the list that a near copy is near to."),
        Column("nats", "nats", "How surprising it finds its own line; fewer are likelier.", "nats", 1),
    )
    rows = tuple((shortened(x.text), x.origin, shortened(x.near) if x.near else None, x.nats) for x in lines)
    remarks = []
    cut = sum(line.cut for line in lines)
    if cut:
        remarks.append(Remark("warning", f"{cut} of the lines shown had not ended at twice the longest line's length."))
    unknown = {"near": "Nothing new was drawn."} if trained.hashes is None else {}
    return Section(
        "samples", title, about, tuple(remarks), figures_of(figures, unknown), (Table("lines", "Lines", columns, rows),)
    )


def embeddings_section(trained: Trained) -> Section:
    """The learnt symbols as points; for a model without rows for symbols, that it has none."""
    title, about = "Its symbols", "Where the network puts each symbol, and which it treats alike."
    try:
        found = embeddings(trained)
    except MoreishError as error:
        return Section("embeddings", title, about, missing=sentence(str(error), trained.corpus.name))
    remarks = [Remark("plain", what(found)), *(Remark("plain", sentence) for sentence in trust(found))]
    if (rare := seldom(found)) is not None:
        remarks.append(Remark("plain", rare))
    remarks += [Remark("plain", f"{note[:1].upper()}{note[1:]}.") for note in found.notes]
    figures = Space(
        found.width, None if found.shares is None else min(1.0, sum(found.shares)), found.start_share, found.moved,
        found.closeness, found.as_close,
    )  # fmt: skip
    picture = Picture("places", "embeddings", "The symbols, where the network puts them", read_so(found), found)
    return Section("embeddings", title, about, tuple(remarks), figures_of(figures), (_neighbours(found),), (picture,))


def _neighbours(found: Embeddings) -> Table:
    columns = (
        Column("symbol", "symbol", f"It itself; {BOUNDARY_SIGN} is a line's start and end."),
        Column("times", "read", "How often it was read while learning.", "times"),
        Column("near", "nearest first", "The symbols nearest to it."),
        Column("distance", "nearest at", "The distance of the first of them.", "", 2),
    )
    rows = tuple(
        (
            _label(place.symbol, place.what), place.times,
            "  ".join(_label(near.symbol, found.places[near.id].what) for near in place.neighbours),
            place.neighbours[0].distance,
        )
        for place in found.by_frequency[:MOST_NEIGHBOURS]
        if place.neighbours
    )  # fmt: skip
    return Table("neighbours", "Nearest to each", columns, rows, measured_by(found))


def _label(symbol: str, what: str) -> str:
    return "blank" if what == "blank" else shortened(sign(symbol), 20) if symbol else BOUNDARY_SIGN
