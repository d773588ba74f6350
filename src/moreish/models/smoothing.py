"""From counts to probabilities: the contexts of an n-gram model as states of an automaton.

A state is a context that was seen: the empty one (state 0), the line's start (state 1), every longer one. Its edges
are the symbols seen after it, each with its probability and the state that it leads to: the longest suffix of the
text read so far that is a state. A symbol not seen there takes the probability of the state's suffix (the context
without its oldest symbol), times the state's backoff weight.

Sources: Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling (1998), section 3, for
Kneser-Ney in its modified, interpolated form and for Witten-Bell; Heafield et al. 2013 (KenLM), section 3, for the
order of the steps. Where we differ: there is no unknown symbol, so unigrams interpolate with 1/V; and discounts that
the counts of counts leave undefined fall back (see `discounts`) where KenLM stops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from moreish.errors import ConfigError
from moreish.models.counts import Grams, find_rows, sum_by, unique_rows

SMOOTHINGS = "none, add-K (such as add-1 or add-0.1), witten-bell, kneser-ney"
UNDEFINED_DISCOUNTS = (0.5, 1.0, 1.5)
"""As KenLM's --discount_fallback."""


def parse_smoothing(text: str) -> tuple[str, float]:
    """`kneser-ney` to ("kneser-ney", 0), `add-0.5` to ("add", 0.5).

    Raises:
        ConfigError: it is none of the smoothings there are.
    """
    if text in ("none", "witten-bell", "kneser-ney"):
        return text, 0.0
    match = re.fullmatch(r"add-(\d+(?:\.\d*)?|\.\d+)(e-?\d+)?", text, re.ASCII) if isinstance(text, str) else None
    if match and 1e-12 <= (added := float(text[4:])) <= 1e12:
        return "add", added
    raise ConfigError(f"no smoothing is called {text!r:.60}. There are: {SMOOTHINGS}.")


@dataclass(frozen=True)
class Automaton:
    """The tables of a fitted n-gram model. State 0 has an edge for every symbol; edges are sorted by state, symbol.

    Shapes: row_starts int64 [S+1]; edge_symbols int32 [E]; edge_counts int64 [E]; edge_log_probs float64 [E];
    edge_next int32 [E]; log_backoff float64 [S]; suffix int32 [S]; oldest int32 [S] (the oldest symbol of the context).
    """

    row_starts: np.ndarray
    edge_symbols: np.ndarray
    edge_counts: np.ndarray
    edge_log_probs: np.ndarray
    edge_next: np.ndarray
    log_backoff: np.ndarray
    suffix: np.ndarray
    oldest: np.ndarray


@dataclass
class _Level:
    """N-grams of one true length k. `suffix` is where each one's last k - 1 symbols stand among the level below."""

    rows: np.ndarray
    counts: np.ndarray
    adjusted: np.ndarray
    suffix: np.ndarray


def fit_automaton(grams: Grams, smoothing: str) -> Automaton:
    """Fit the tables of an n-gram model to counts.

    Raises:
        ConfigError: an unknown smoothing.
    """
    kind, added = parse_smoothing(smoothing)
    symbols, order = grams.symbols, grams.order
    levels = _levels(grams)
    root_counts, root_adjusted = _dense_root(levels[1], symbols)
    contexts = [np.zeros((1, 0), np.int32)]  # by length
    offsets = [0, 1]
    probabilities: list[np.ndarray] = []
    backoffs: list[np.ndarray] = []
    suffixes, nexts = [np.zeros(1, np.int32)], []
    row_sizes = [np.array([symbols])]
    for k in range(1, order + 1):
        level = levels[k]
        if k == 1:
            context = np.zeros(symbols, np.int64)
            rows, counts = np.arange(symbols, dtype=np.int32)[:, None], root_counts
            amounts = root_adjusted if kind == "kneser-ney" else root_counts
            below = np.full(symbols, 1.0 / symbols)
        else:
            rows, counts = level.rows, level.counts
            amounts = level.adjusted if kind == "kneser-ney" else counts
            fresh = np.ones(len(rows), bool)  # no rows at all where the order is longer than every line
            fresh[1:] = (rows[1:, :-1] != rows[:-1, :-1]).any(1)
            context = np.cumsum(fresh) - 1
            contexts.append(rows[fresh, :-1])
            below_states = find_rows(contexts[-1][:, 1:], contexts[-2], symbols) if k > 2 else 0
            suffixes.append((below_states + np.full(int(fresh.sum()), offsets[-2])).astype(np.int32))
            offsets.append(offsets[-1] + int(fresh.sum()))
            row_sizes.append(np.bincount(context))
            below = probabilities[-1][level.suffix]
        full = k == order or (contexts[-1][:, 0] == 0 if k > 1 else np.zeros(1, bool))
        p, gamma = _interpolate(kind, added, symbols, context, amounts, below, full)
        probabilities.append(p)
        backoffs.append(gamma)
        nexts.append((rows, counts, level.suffix))
    with np.errstate(divide="ignore"):
        return Automaton(
            row_starts=np.concatenate([[0], np.cumsum(np.concatenate(row_sizes))]).astype(np.int64),
            edge_symbols=np.concatenate([rows[:, -1] for rows, _, _ in nexts]).astype(np.int32),
            edge_counts=np.concatenate([counts for _, counts, _ in nexts]),
            edge_log_probs=np.log(np.concatenate(probabilities)),
            edge_next=_next_states(nexts, contexts, offsets, symbols, order),
            log_backoff=np.log(np.concatenate(backoffs)),
            suffix=np.concatenate(suffixes),
            oldest=np.concatenate([[0], *[c[:, 0] for c in contexts[1:]]]).astype(np.int32),
        )


def _levels(grams: Grams) -> list[_Level]:
    """N-grams of each true length, from the longest down; index 0 is unused.

    Adjusted counts: of the longest, and of those that begin with the start symbol (nothing can stand before it), how
    often they were seen; of the others, after how many different symbols (Kneser-Ney's continuation counts).
    """
    levels: list[_Level] = []
    rows, counts = grams.rows, grams.counts
    continuation = counts
    for k in range(grams.order, 0, -1):
        # Two leading boundaries are padding: the n-gram is really shorter.
        real = ~((rows[:, 0] == 0) & (rows[:, 1] == 0)) if k > 2 else np.ones(len(rows), bool)
        raw = k == grams.order or k == 1
        adjusted = continuation if k == 1 or raw else np.where(rows[:, 0] == 0, counts, continuation)
        level = _Level(rows[real], counts[real], adjusted[real], np.zeros(0, np.int64))
        levels.append(level)
        if len(levels) > 1:  # the level above pointed at all rows here: point at the real ones
            levels[-2].suffix = (np.cumsum(real) - 1)[levels[-2].suffix]
        if k > 1:
            shorter, inverse = unique_rows(rows[:, 1:], grams.symbols)
            continuation = np.bincount(inverse[real], minlength=len(shorter)).astype(np.int64)
            counts = sum_by(inverse, counts, len(shorter))
            rows, level.suffix = shorter, inverse[real]
    levels.append(_Level(rows[:0], counts[:0], counts[:0], counts[:0]))
    levels.reverse()
    if grams.order > 1:  # the root is dense: its n-grams stand at their own symbol
        levels[2].suffix = levels[1].rows[levels[2].suffix, 0].astype(np.int64)
    return levels


def _dense_root(level: _Level, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    counts, adjusted = np.zeros(symbols, np.int64), np.zeros(symbols, np.int64)
    counts[level.rows[:, 0]] = level.counts
    adjusted[level.rows[:, 0]] = level.adjusted
    return counts, adjusted


def _interpolate(
    kind: str,
    added: float,
    symbols: int,
    context: np.ndarray,
    amounts: np.ndarray,
    below: np.ndarray,
    full: bool | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of one level's n-grams [E], and the backoff weight of each of its contexts [S].

    `below` is each n-gram's probability at the level below, `full` whether a context is as long as it could be
    (anything shorter is met only where the whole context was never seen).
    """
    total = np.bincount(context, weights=amounts)
    if kind == "none":
        return amounts / total[context], np.zeros(len(total))
    if kind == "add":
        # The formula at its word: a context never seen has counts of 0, and K / (K V) is uniform.
        share = np.where(full, 1.0, 0.0) * np.ones(len(total))
        scale = share * total + added * symbols
        return (share[context] * amounts + added) / scale[context], added * symbols / scale
    if kind == "witten-bell":
        types = np.bincount(context, weights=amounts > 0)
        gamma = types / (total + types)
        return amounts / (total + types)[context] + gamma[context] * below, gamma
    d = np.array([0.0, *discounts(amounts)])
    off = d[np.minimum(amounts, 3)]
    gamma = np.bincount(context, weights=off) / total
    return (amounts - off) / total[context] + gamma[context] * below, gamma


def discounts(adjusted: np.ndarray) -> tuple[float, float, float]:
    """The three discounts of modified Kneser-Ney, from how many n-grams have count 1, 2, 3 and 4.

    Chen and Goodman 1998, equation 26. Short or repetitive lists leave them undefined or out of range (no n-gram seen
    once, say): such a discount becomes the plain one, n1 / (n1 + 2 n2), or where that is undefined too, 0.5, 1, 1.5.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(adjusted == k)) for k in (1, 2, 3, 4))
    if not n1 or not n2:
        return UNDEFINED_DISCOUNTS
    plain = n1 / (n1 + 2 * n2)
    found = [1 - 2 * plain * n2 / n1, 2 - 3 * plain * n3 / n2, 3 - 4 * plain * n4 / n3 if n3 else plain]
    d1, d2, d3 = (d if 0 < d < k else plain for k, d in enumerate(found, start=1))
    return d1, d2, d3


def _next_states(nexts: list, contexts: list[np.ndarray], offsets: list[int], symbols: int, order: int) -> np.ndarray:
    """The state after each edge: the longest suffix of context and symbol that is a state; after an end, the start."""
    start = 1 if order > 1 else 0
    below = np.zeros(0, np.int64)
    out = []
    for k, (rows, _, suffix) in enumerate(nexts, start=1):
        target = below[suffix] if k > 1 else np.zeros(len(rows), np.int64)
        if k < order:
            at = find_rows(rows, contexts[k], symbols)
            target = np.where(at >= 0, at + offsets[k], target)
        target[rows[:, -1] == 0] = start
        out.append(target)
        below = target
    return np.concatenate(out).astype(np.int32)
