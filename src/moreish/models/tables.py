"""The count tables of a mixture: for each context that was seen, which symbols followed it, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from moreish.errors import ConfigError
from moreish.models.contexts import CLASSES, CONTINUATIONS, NAMES, keys_of, look_at_lines
from moreish.models.symbol_classes import learn_classes

AT_ONCE = 1 << 16
"""Positions looked at together."""
LONGEST = 10_000
"""Symbols of a line beyond which reading it place by place would take minutes."""
MOST_POSITIONS = 4_000_000
"""Symbols of a list whose contexts fit into memory together: 1.5 GB of keys."""


@dataclass(frozen=True)
class Tables:
    """Rows sorted by key, within a row symbols in order. Shapes: keys int64 [R]; row_starts int64 [R+1];
    entry_symbols, entry_counts int32 [E]; classes int64 [M V]; log_unigram float32 [V]."""

    keys: np.ndarray
    row_starts: np.ndarray
    entry_symbols: np.ndarray
    entry_counts: np.ndarray
    classes: np.ndarray
    log_unigram: np.ndarray


def count_tables(ids: np.ndarray, symbols: int) -> Tables:
    """Count every context of a list, `0 e m m a 0 a v a 0`.

    Raises:
        ConfigError: it, or one of its lines, is too long.
    """
    tokens, targets = ids[:-1].astype(np.int64), ids[1:].astype(np.int64)
    if len(tokens) > MOST_POSITIONS:
        raise ConfigError(
            f"mixture: the list's {len(tokens):,} symbols are more than the {MOST_POSITIONS:,} whose contexts are held "
            f"in memory. Use a part of the list, or the model ngram or gru."
        )
    if (longest := int(np.diff(np.flatnonzero(ids == 0)).max()) - 1) > LONGEST:
        raise ConfigError(
            f"mixture: the longest line has {longest:,} symbols, more than the {LONGEST:,} that are read place by "
            f"place. Leave such lines out, or use the model ngram."
        )
    classes = np.stack([learn_classes(tokens, targets, symbols, min(many, max(1, symbols - 1))) for many in CLASSES])
    keys, begins = _keys(ids, classes)
    found = [_table(keys, targets, begins, table, symbols) for table in range(len(NAMES))]
    row_keys = np.concatenate([each[0] for each in found])
    sizes = np.concatenate([each[1] for each in found])
    entries = np.concatenate([each[2] for each in found])
    counts = np.concatenate([each[3] for each in found])
    order = np.argsort(row_keys, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    new_starts = np.concatenate([[0], np.cumsum(sizes[order])])
    at = np.repeat(starts[:-1][order] - new_starts[:-1], sizes[order]) + np.arange(len(entries))
    seen = np.bincount(targets, minlength=symbols) + 1.0
    return Tables(
        keys=row_keys[order],
        row_starts=new_starts.astype(np.int64),
        entry_symbols=entries[at].astype(np.int32),
        entry_counts=counts[at].astype(np.int32),
        classes=classes.astype(np.int64),
        log_unigram=np.log(seen / seen.sum()).astype(np.float32),
    )


def check_counted(
    keys: Int[Tensor, " R"],
    row_starts: Int[Tensor, " R1"],
    entry_symbols: Int[Tensor, " E"],
    entry_counts: Int[Tensor, " E"],
    classes: Int[Tensor, "M V"],
    log_unigram: Float[Tensor, " V"],
) -> None:
    """Refuse tables that no counting gives.

    Raises:
        ConfigError: says which one.
    """
    rising = entry_symbols.diff() > 0
    begins = row_starts[1:-1] - 1
    if len(rising) and len(begins):
        rising[begins.clamp(0, len(rising) - 1)] = True
    inside = (entry_symbols >= 0) & (entry_symbols < len(log_unigram))
    shares = log_unigram.double().exp()
    sound = {
        "keys": (keys.diff() > 0).all(),
        "row_starts": row_starts[0] == 0 and row_starts[-1] == len(entry_symbols) and (row_starts.diff() >= 0).all(),
        "entry_symbols": rising.all() and inside.all(),
        "entry_counts": (entry_counts > 0).all(),
        "classes": ((classes >= 0) & (classes <= max(CLASSES))).all(),
        # In exp(-50) parts nothing is counted.
        "log_unigram": (log_unigram > -50).all() and abs(float(shares.sum()) - 1) < 1e-3,
    }
    for name, good in sound.items():
        if not bool(good):
            raise wrong(name)


def wrong(name: str) -> ConfigError:
    """What is said of a table that is not one of counting's."""
    return ConfigError(f"the mixture's table {name} is not one that counting gives. Train again.")


def find(keys: Int[Tensor, " R"], asked: Int[Tensor, "*N K"]) -> Int[Tensor, "*N K"]:
    """The row of each key; the number of rows where there is none."""
    if not len(keys):
        return torch.zeros_like(asked)
    at = torch.searchsorted(keys, asked).clamp_(max=len(keys) - 1)
    return torch.where(keys[at] == asked, at, len(keys))


def _keys(ids: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each position's keys [N K], and for each order of continuation whether its context reaches the line's start."""
    ends = np.flatnonzero(ids == 0)
    lengths = np.diff(ends)
    by_class = torch.from_numpy(classes.astype(np.int64))
    keys = np.empty((len(ids) - 1, len(NAMES)), np.int64)
    begins = np.empty((len(ids) - 1, len(CONTINUATIONS)), bool)
    order = np.argsort(lengths, kind="stable")  # lines of like length side by side
    at = 0
    while at < len(order):
        lines = order[at : at + max(1, AT_ONCE // int(lengths[order[at]]))]
        while len(lines) > 1 and len(lines) * int(lengths[lines[-1]]) > 2 * AT_ONCE:
            lines = lines[: len(lines) // 2]
        at += len(lines)
        sizes = lengths[lines]
        places = np.repeat(ends[lines] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        seen = look_at_lines(torch.from_numpy(ids[places].astype(np.int64)), torch.from_numpy(sizes), by_class)
        keys[places] = keys_of(seen, by_class).numpy()
        begins[places] = (seen.back[:, : len(CONTINUATIONS)] == 0).numpy()
    return keys, begins


def _table(
    keys: np.ndarray, targets: np.ndarray, begins: np.ndarray, table: int, symbols: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One table's row keys, the size of each row, and its entries' symbols and counts.

    A continuation counts after how many different symbols the context and its target stood (Kneser and Ney 1995),
    unless the context begins a line: nothing stands before that, so it keeps its raw counts.
    """
    mine, target = keys[:, table], targets
    if NAMES[table].startswith("continuation "):
        order = int(NAMES[table].removeprefix("continuation "))
        longer = keys[:, NAMES.index(f"last {order + 1}")]
        raw = begins[:, order - 1]
        pairs = np.stack([longer, targets], 1)[~raw]
        by = np.lexsort((pairs[:, 1], pairs[:, 0]))
        fresh = np.ones(len(by), bool)
        fresh[1:] = (pairs[by][1:] != pairs[by][:-1]).any(1)
        once = np.flatnonzero(~raw)[by[fresh]]
        kept = np.concatenate([once, np.flatnonzero(raw)])
        mine, target = mine[kept], targets[kept]
    rows, row = np.unique(mine, return_inverse=True)
    cells, counts = np.unique(row * symbols + target, return_counts=True)
    return rows, np.bincount(cells // symbols, minlength=len(rows)), cells % symbols, counts
