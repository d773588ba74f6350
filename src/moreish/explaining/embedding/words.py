"""What the picture of the embedding is and how far to trust it, in sentences."""

from __future__ import annotations

from moreish.explaining.embedding.measures import Embeddings
from moreish.explaining.embedding.nearness import SELDOM, SHUFFLES

LITTLE = 0.3
"""Rows that moved by less than this share of their length are mostly where they were drawn."""
RARE = 0.05
"""A grouping as close as this share of random ones, or fewer, is no accident."""


def what(found: Embeddings) -> str:
    """What the rows are, and how the picture comes of them."""
    rows = f"{found.about[0].upper()}{found.about[1:]}. Here that is {_many(found.width, 'number')}"
    if found.method == "exact":
        return f"{rows}, so the picture is the {found.layer} itself, exactly."
    if found.shares is None:
        return f"{rows}; all rows are the same, so there are no directions to draw."
    share = sum(found.shares)
    return (
        f"{rows}, drawn along the {_many(len(found.shares), 'direction')} in which they differ most (principal "
        f"components), which hold {_percent(share)} of their variance; the rest does not show."
    )


def trust(found: Embeddings) -> list[str]:
    """How much of the picture was learnt, and whether its groups are more than chance."""
    said = []
    if found.moved is not None:
        said.append(_moved(found.moved))
    if found.start_share is not None and found.shares is not None:
        more = sum(found.shares) > found.start_share
        arranged = "what is more now, learning arranged" if more else "learning has not gathered more in so few"
        said.append(
            f"Before learning, when all rows were random, two directions held {_percent(found.start_share)} of their "
            f"variance: {arranged}."
        )
    if found.closeness is not None and found.by_chance is not None and found.as_close is not None:
        said.append(_closeness(found.closeness, found.as_close))
    return said


def read_so(found: Embeddings) -> str:
    """How to read the picture."""
    colours = (
        "Colours are classes of symbols that follow and precede like symbols in the list, found by counting, not by "
        "the network. "
        if found.groups
        else ""
    )
    return (
        f"Symbols that the network treats alike stand near each other. {colours}The axes have no meaning of their own."
    )


def measured_by(found: Embeddings) -> str:
    """Which measure the neighbours go by, and why."""
    if found.by == "cosine":
        return (
            "By cosine: the angle between two rows, whatever their lengths (1: the same direction, 0: none in common)."
        )
    return (
        "By Euclidean distance: the layer above is linear, so the difference of two rows is all it can tell them "
        "apart by. The cosine (--by cosine) takes no notice of their lengths."
    )


def seldom(found: Embeddings) -> str | None:
    """Which symbols were read too rarely for their place to mean much."""
    rare = [
        place.symbol
        for place in found.by_frequency
        if place.what == "symbol" and place.times is not None and 0 < place.times < SELDOM
    ]
    if not rare:
        return None
    stand = "1 symbol was" if len(rare) == 1 else f"{len(rare):,} symbols were"
    return f"{stand} read fewer than {SELDOM} times: where they stand is mostly where they were drawn."


def concluded(found: Embeddings) -> str:
    """The sentence for a figure."""
    parts = [*trust(found)[:1], *trust(found)[-1:]] if len(trust(found)) > 1 else trust(found)
    return " ".join([read_so(found), *parts])


def _moved(moved: float) -> str:
    way = f"While learning a row moved by {_percent(moved)} of its length, on average"
    if moved < LITTLE:
        return (
            f"{way}: the picture is mostly where the rows were drawn at random. "
            f"Longer learning, or a smaller --embedding, shows more."
        )
    return f"{way}: where it stands now was learnt, not drawn."


def _closeness(closeness: float, as_close: float) -> str:
    apart = f"Symbols of one class are {closeness:.2f} times as far apart as any two"
    if as_close > RARE:
        return f"{apart}; of random classes {_percent(as_close)} are as close, so that may be chance."
    least = as_close <= 1 / (1 + SHUFFLES)
    shuffles = f"none of {SHUFFLES:,} random ones was" if least else f"{_percent(as_close)} of random ones were"
    return f"{apart}, and {shuffles} as close: the network found these classes too."


def _many(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"
