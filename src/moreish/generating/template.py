"""Lines with places left open: `ma?e???` as a regular expression, its likeliest completions, and what may stand where.

`?` is any one character (a grapheme, where those are the model's symbols), `*` any number of characters, none too; a
backslash before either, or before itself, makes it stand for itself. In a model of words a `?` is a letter too, and a
place for any one word is a `*`, which may then also be filled by several words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch

from moreish.errors import UsageError
from moreish.generating.best import Best, best
from moreish.generating.constraints import MOST_LENGTH, Conditions
from moreish.generating.paths import Ahead
from moreish.generating.sampler import default_max_length
from moreish.generating.sources import paths_under
from moreish.learning.recipe import Trained
from moreish.text.alphabet import Alphabet

OPEN, ANY = "?", "*"
SHOWN = 10
"""Symbols told for an open place."""


@dataclass(frozen=True)
class Place:
    """An open place: `at`, the number of symbols before it, and the likeliest symbols with their probabilities given
    the template, exact."""

    at: int
    symbols: list[tuple[str, float]]


@dataclass(frozen=True)
class Completions:
    """The most probable lines that fit a template. `best.log_probability` is the template's own.

    `places`: one for each `?`; None where a `*` leaves them anywhere, where a symbol is no character, or for a model
    that does not look back only so far.
    """

    template: str
    best: Best
    places: list[Place] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        places = None
        if self.places is not None:
            places = [
                {"at": p.at, "symbols": [{"symbol": symbol, "probability": share} for symbol, share in p.symbols]}
                for p in self.places
            ]
        return {"template": self.template, **self.best.to_dict(), "places": places}


def complete(
    trained: Trained, template: str, count: int = 20, *, max_length: int | None = None, new_only: bool = False
) -> Completions:
    """The `count` most probable completions of a template such as `ma?e???`.

    Args:
        max_length: symbols in a line at most, where the template holds a `*`; default as for `sample`.

    Raises:
        UsageError: a template that cannot be read, or a request that means nothing.
        Impossible: no line fits it, or none has any probability.
    """
    pieces = parse_template(template)
    length = places = None
    if ANY not in pieces and trained.alphabet.kind in ("characters", "graphemes"):
        symbols = symbols_of(pieces, trained.alphabet)
        length = (len(symbols), len(symbols))
        places = [i for i, symbol in enumerate(symbols) if symbol == OPEN]
    conditions = Conditions(pattern=pattern_of(pieces, trained.alphabet), length=length)
    found = best(trained, count, conditions=conditions, max_length=max_length, new_only=new_only)
    if places is None:
        return Completions(template, found, None)
    most = default_max_length(trained.longest) if max_length is None else max_length
    paths = paths_under(trained, conditions, most)
    told = None if paths is None else _marginals(paths.sums, trained.alphabet, places)
    return Completions(template, found, told)


def parse_template(template: str) -> list[str]:
    """Its characters in order: `?` and `*` for what is open, and a backslash before each that stands for itself.

    Raises:
        UsageError: it is empty, or ends in a backslash.
    """
    if not isinstance(template, str) or not template:
        raise UsageError("a template is text, such as 'ma?e'. A ? is any one character, a * any number of them.")
    if len(template) > MOST_LENGTH:
        raise UsageError(f"a template of {len(template):,} characters is too long. Use at most {MOST_LENGTH:,}.")
    pieces = re.findall(r"\\.|[^\\]", template, re.S)
    if sum(map(len, pieces)) != len(template):
        raise UsageError(f"the template {template!r:.60} ends in a backslash. Write \\\\ for one that is meant.")
    return [p[1] if p[0] == "\\" and p[1] not in f"{OPEN}{ANY}" else p for p in pieces]


def pattern_of(pieces: list[str], alphabet: Alphabet) -> str:
    """The regular expression of a template's pieces."""
    symbol = "(?s:.)"
    if alphabet.kind == "graphemes":
        several = [re.escape(s) for s in alphabet.symbols if len(s) > 1]
        if several:
            single = "".join(re.escape(s) for s in alphabet.symbols if len(s) == 1)
            symbol = f"(?:{'|'.join(several + ([f'[{single}]'] if single else []))})"
    meaning = {OPEN: symbol, ANY: "(?s:.*)"}
    return "".join(meaning.get(piece) or re.escape(piece[-1]) for piece in pieces)


def symbols_of(pieces: list[str], alphabet: Alphabet) -> list[str]:
    """A template without `*`, symbol by symbol: `?` for an open place, else the piece's text, which is never `?`."""
    out: list[str] = []
    text = ""
    for piece in [*pieces, OPEN]:
        if piece != OPEN:
            text += piece[-1]
            continue
        if text:
            out += [alphabet.symbols[i - 1].replace(OPEN, "\\?") for i in alphabet.encode(alphabet.spelling(text))]
        out.append(OPEN)
        text = ""
    return out[:-1]


@torch.no_grad()
def _marginals(ahead: Ahead, alphabet: Alphabet, places: list[int]) -> list[Place]:
    """What may stand where, by sums from both sides: forwards over the pairs that a line may be in, times what lies
    ahead (Rabiner 1989, section III B)."""
    paths, out = ahead.paths, []
    pair, weight = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.float64)
    for at in range(max(places, default=-1) + 1):
        share, after = ahead.share(pair, paths.high - at)
        context = paths.context.index_select(0, pair)
        moved = share.mul_(paths.chain.log_probs.index_select(0, context).exp_()).mul_(weight[:, None])
        if at in places:
            shares = moved.sum(0)
            shares = shares / shares.sum()
            order = torch.sort(shares, descending=True, stable=True).indices[:SHOWN].tolist()
            told = [(alphabet.symbols[i - 1], float(shares[i])) for i in order if i and float(shares[i]) > 0]
            out.append(Place(at, told))
        good = moved.view(-1) > 0
        pair, which = after.view(-1)[good].long().unique(return_inverse=True)
        weight = torch.zeros(len(pair), dtype=torch.float64).index_add_(0, which, moved.view(-1)[good])
    return out
