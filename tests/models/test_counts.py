"""Counting against collections.Counter over padded tuples, by each of its four ways, wherever blocks end."""

import random
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moreish.errors import AlphabetError, ConfigError
from moreish.models import counts
from moreish.models.counts import Grams, count_grams, find_rows, pack, sum_by, unique_rows, unpack
from moreish.text import lines as lines_module
from moreish.text.alphabet import KINDS, Alphabet
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import checked_before
from slow_ngram import START, padded_counts

WAYS = {
    "as it chooses": {},
    "dense": {"_one_byte_each": lambda alphabet: False},
    "sorted": {"_one_byte_each": lambda alphabet: False, "DENSE_ENTRIES": 0},
    "rows": {"_one_byte_each": lambda alphabet: False, "DENSE_ENTRIES": 0, "KEY_BITS": 0},
    "sorted, ten at a time": {
        "_one_byte_each": lambda alphabet: False, "DENSE_ENTRIES": 0, "SORTED_AT_ONCE": 10, "SLICE": 3,
    },
    "dense, three at a time": {"_one_byte_each": lambda alphabet: False, "SLICE": 3},
}  # fmt: skip
random.seed(3)
TEXTS = {
    "emma": ["emma"],
    "one symbol": ["a", "aa", "a", "aaaaaaaaaaaaaaaa"],
    "ascii": ["".join(random.choices("abc", k=random.randint(1, 9))) for _ in range(60)],
    "not ascii": ["".join(random.choices("aé名👩\u0301", k=random.randint(1, 9))) for _ in range(40)],
    "both, with spaces": ["new york", "new  delhi", " ", "é", "e\u0301 é", "york", "a b c", "new york"] * 3,
    "control symbols": ["a\x0b\rb", "\x00", "a\x00\x00", "\r"],
}


def as_padded(counted: Counter, order: int) -> dict[tuple[int, ...], int]:
    """START stands once; what is before it stands as 0 too."""
    return {(0,) * (order - len(g)) + tuple(0 if s == START else s for s in g): n for g, n in counted.items()}


def as_dict(grams: Grams) -> dict[tuple[int, ...], int]:
    rows = [tuple(row) for row in grams.rows.tolist()]
    assert rows == sorted(set(rows)), "rows are not sorted, or not once each"
    return dict(zip(rows, grams.counts.tolist()))


def check(texts: list[str], kind: str, order: int) -> None:
    alphabet = Alphabet.of(Lines.of(texts), kind)
    grams = count_grams(Lines.of(texts), alphabet, order)
    assert (grams.symbols, grams.order) == (len(alphabet), order)
    assert (grams.rows.dtype, grams.counts.dtype) == (np.int32, np.int64)
    expected = padded_counts([alphabet.encode(text) for text in texts], order)
    assert as_dict(grams) == as_padded(expected, order)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(counts, name, value)


@pytest.fixture(params=[1, 1 << 20], ids=lambda size: f"blocks of {size}")
def block(request, monkeypatch):
    monkeypatch.setattr(lines_module, "BLOCK", request.param)


@pytest.mark.parametrize("text", TEXTS)
def test_counts_are_counters(text, way, block):
    for kind in KINDS:
        for order in range(1, 8):
            with nullcontext() if order <= 2 else checked_before():  # one symbol, and several in a row
                check(TEXTS[text], kind, order)


@given(st.lists(st.text("ab é", min_size=1, max_size=6), min_size=1, max_size=8), st.integers(1, 7), st.data())
def test_counts_are_counters_for_any_list(texts, order, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK", data.draw(st.integers(1, 30)))
        for name, value in WAYS[data.draw(st.sampled_from(sorted(WAYS)))].items():
            patch.setattr(counts, name, value)
        check(texts, data.draw(st.sampled_from(KINDS)), order)


@pytest.mark.parametrize("order", [1, 2, 12, 13, 14, 20, 64])
def test_high_orders_hold_keys_of_any_width(order):
    check(
        TEXTS["ascii"] + ["".join(map(chr, range(97, 123)))], "characters", order
    )  # 27 symbols: 63 bits from order 14


def test_counts_move_to_64_bits_before_32_overflow(monkeypatch):
    monkeypatch.setattr(counts, "NARROW_COUNTS", 3)
    monkeypatch.setattr(lines_module, "BLOCK", 2)
    check(["a", "b", "ab", "a", "b"] * 5, "characters", 3)


@pytest.mark.parametrize("order", [0, -1, 65, True, 2.0, "2", None])
def test_orders_that_cannot_be_are_refused(order, types_unchecked):
    with pytest.raises(ConfigError, match=f"order={order!r}"):
        count_grams(Lines.of(["a"]), Alphabet("characters", ("a",)), order)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind, text", [("characters", "ab"), ("characters", "aé"), ("bytes", "ab"), ("words", "a b")])
def test_a_symbol_that_the_alphabet_lacks_is_an_error_at_every_order(order, kind, text):
    with pytest.raises(AlphabetError, match="position"):
        count_grams(Lines.of(["a", text]), Alphabet(kind, ("a",)), order)


def test_no_lines_have_no_counts(way):
    for order in (1, 2, 3):
        assert len(count_grams(Lines.of([]), Alphabet("characters", ("a",)), order).rows) == 0


def test_the_names_have_627_of_729_pairs_and_228146_in_all(names):
    corpus = Corpus.read(names, split="none")
    grams = count_grams(corpus.train, corpus.alphabet, 2)
    assert (len(grams.rows), len(corpus.alphabet) ** 2, int(grams.counts.sum())) == (627, 729, 228_146)
    pairs = Counter()
    for word in names.read_text().split():
        pairs.update(zip("." + word, word + "."))
    at = "." + "".join(corpus.alphabet.symbols)
    assert {(at[a], at[b]): n for (a, b), n in as_dict(grams).items()} == pairs


@pytest.mark.parametrize("key_bits", [62, 0])
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=20), st.lists(st.tuples(*[st.integers(0, 3)] * 3)))
def test_tables_of_rows_are_pythons_sorted_sets(key_bits, some, others):
    a, b = (np.array(rows, dtype=np.int32).reshape(-1, 3) for rows in (some, sorted(set(others))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "KEY_BITS", key_bits)
        once, inverse = unique_rows(a, 4)
        assert [tuple(row) for row in once.tolist()] == sorted(set(some))
        assert once[inverse].tolist() == a.tolist()
        at = find_rows(a, b, 4).tolist()
        assert at == [sorted(set(others)).index(row) if row in others else -1 for row in some]
        keys = pack(4, a, b)
        whole = [*some, *sorted(set(others))]
        packed = np.concatenate(keys).tolist()
        assert all((packed[i] < packed[j]) == (x < y) for i, x in enumerate(whole) for j, y in enumerate(whole))


def test_keys_come_back_as_rows():
    rows = np.array([[0, 0, 1], [0, 3, 2], [6, 6, 6]], dtype=np.int32)
    assert unpack(pack(7, rows)[0], 7, 3).tolist() == rows.tolist()
    assert sum_by(np.array([0, 2, 0]), np.array([5, 1, 2]), 4).tolist() == [7, 0, 1, 0]
