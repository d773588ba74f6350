"""The lists that are measured on: names.txt over and over, and lists made by rule, the same on every machine."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

LINES = 10_000_000
BYTES = 100_000_000
BINS = 4096
"""Into so many equal shares each probability distribution of a made list is cut: drawing is then one look-up."""
AT_ONCE = 100_000
"""Lines made at a time."""

CYRILLIC = [*range(0x410, 0x450), 0x401, 0x451]
CJK = list(range(0x4E00, 0x4E00 + 2999 - len(CYRILLIC)))
"""Together 2,999 symbols: 3,000 with the boundary."""
LETTERS = [ord(letter) for letter in string.ascii_lowercase + " '-.,"]
"""31 symbols: 32 with the boundary."""


def make(lists: dict[str, str]) -> None:
    """Write the list called `make` to the path `to`; those of names come from the path `names`."""
    MADE[lists["make"]](Path(lists["to"]), lists.get("names", ""))


def _names_100mb(to: Path, names: str) -> None:
    text = Path(names).read_bytes().rstrip(b"\n") + b"\n"
    with to.open("wb") as file:
        for _ in range(-(-BYTES // len(text))):
            file.write(text)


def _names_10m(to: Path, names: str) -> None:
    lines = Path(names).read_text().splitlines()
    with to.open("w") as file:
        for left in range(LINES, 0, -len(lines)):
            file.write("\n".join(lines[:left]) + "\n")


def _different_10m(to: Path, names: str) -> None:
    """Each different name with every ending of three letters, until there are enough."""
    lines = list(dict.fromkeys(Path(names).read_text().splitlines()))
    endings = (a + b + c for a in "nmrlstdk" for b in "aeiouy" for c in string.ascii_lowercase)
    with to.open("w") as file:
        for left in range(LINES, 0, -len(lines)):
            ending = next(endings) + "\n"
            file.write(ending.join(lines[:left]) + ending)


def _full_names_1m(to: Path, names: str) -> None:
    """Two names with a space between: nearly all are long enough for a probable typo."""
    lines = list(dict.fromkeys(Path(names).read_text().splitlines()))
    pairs = np.unique(np.random.default_rng(1).integers(0, len(lines) ** 2, 1_010_000))
    pairs = np.random.default_rng(2).permutation(pairs)[:1_000_000]
    to.write_text("".join(f"{lines[pair // len(lines)]} {lines[pair % len(lines)]}\n" for pair in pairs.tolist()))


def _markov_100mb(to: Path, _: str) -> None:
    """Letters after two letters as likely as names have them: about 2.2 nats each, the end of the line apart."""
    random = np.random.default_rng(3)
    probabilities = np.exp(1.9 * random.normal(size=(32 * 32, 31)))
    probabilities /= probabilities.sum(1, keepdims=True)
    bounds = (np.arange(BINS) + 0.5) / BINS
    after = np.array([np.searchsorted(np.cumsum(row), bounds).clip(0, 30) for row in probabilities])
    _write(to, BYTES, _letters(after.astype(np.uint8), random))


def _uniform_100mb(to: Path, _: str) -> None:
    """All letters alike: the most different 5-grams that a text of this size can have."""
    after = np.tile(np.arange(BINS) % 31, (32 * 32, 1)).astype(np.uint8)
    _write(to, BYTES, _letters(after, np.random.default_rng(4)))


def _letters(after: np.ndarray, random: np.random.Generator) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Lines of 3 to 12 letters, each drawn from `after` [32 * 32 BINS] the two before."""

    def draw() -> tuple[np.ndarray, np.ndarray]:
        older = newer = np.full(AT_ONCE, 31)
        ids = np.zeros((AT_ONCE, 12), np.uint8)
        for column in range(12):
            ids[:, column] = after[older * 32 + newer, random.integers(0, BINS, AT_ONCE)]
            older, newer = newer, ids[:, column].astype(np.int64)
        return np.array(LETTERS, np.uint32)[ids], random.integers(3, 13, AT_ONCE)

    return draw


def _symbols_3000_100mb(to: Path, _: str) -> None:
    _write(to, BYTES, _two_scripts(), CYRILLIC + CJK)


def _symbols_3000_lines(to: Path, _: str) -> None:
    _write(to, 2_400_000, _two_scripts(), CYRILLIC + CJK)


def _two_scripts() -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Half the lines 3 to 10 Cyrillic letters, half 2 to 4 CJK characters, as names of people and towns are.

    Each symbol has its own likely successors, the k-th of them 1/k as likely as the first; 3 in a hundred symbols are
    any, by Zipf's law.
    """
    random = np.random.default_rng(5)
    scripts = []
    for points, followers, shortest, longest in ((CYRILLIC, 12, 3, 10), (CJK, 200, 2, 4)):
        zipf = 1 / np.arange(1, len(points) + 1)
        zipf /= zipf.sum()
        after = random.choice(len(points), size=(len(points) + 1, followers), p=zipf)
        likely = 1 / np.arange(1, followers + 1)
        scripts.append((points, after, np.cumsum(likely / likely.sum()), np.cumsum(zipf), shortest, longest))

    def draw() -> tuple[np.ndarray, np.ndarray]:
        codes = np.zeros((AT_ONCE, 10), np.uint32)
        lengths = np.zeros(AT_ONCE, np.int64)
        for which, (points, after, likely, zipf, shortest, longest) in enumerate(scripts):
            count = len(codes[which::2])
            last = np.full(count, len(points))
            for column in range(longest):
                follower = np.searchsorted(likely, random.random(count)).clip(0, after.shape[1] - 1)
                any_symbol = np.searchsorted(zipf, random.random(count)).clip(0, len(points) - 1)
                last = np.where(random.random(count) < 0.03, any_symbol, after[last, follower])
                codes[which::2, column] = np.array(points, np.uint32)[last]
            lengths[which::2] = random.integers(shortest, longest + 1, count)
        mixed = random.permutation(AT_ONCE)
        return codes[mixed], lengths[mixed]

    return draw


def _write(
    to: Path, size: int, draw: Callable[[], tuple[np.ndarray, np.ndarray]], symbols: list[int] | None = None
) -> None:
    """Lines from `draw` (code points [n T], lengths [n]) up to a size in bytes; first each of `symbols` once."""
    with to.open("wb") as file:
        if symbols:
            file.write("".join("".join(map(chr, four)) + "\n" for four in _fours(symbols)).encode())
        while file.tell() < size:
            codes, lengths = draw()
            ended = np.concatenate([codes, np.zeros((len(codes), 1), np.uint32)], axis=1)
            ended[np.arange(len(codes)), lengths] = ord("\n")
            kept = ended[np.arange(ended.shape[1]) <= lengths[:, None]]
            file.write(kept.tobytes().decode("utf-32-le").encode())


def _fours(symbols: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(symbols), 4):
        yield symbols[at : at + 4]


MADE: dict[str, Callable[[Path, str], None]] = {
    "names-100MB": _names_100mb,
    "names-10M": _names_10m,
    "different-10M": _different_10m,
    "full-names-1M": _full_names_1m,
    "markov-100MB": _markov_100mb,
    "uniform-100MB": _uniform_100mb,
    "symbols-3000-100MB": _symbols_3000_100mb,
    "symbols-3000-lines": _symbols_3000_lines,
}
