"""Hashes of lines, lines one edit apart, and typos, held against Python's own sets and rapidfuzz's distances."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.text import edits, hashing, typos
from moreish.text.edits import EditIndex, Table
from moreish.text.hashing import edited_sums, first_occurrences, line_hashes, line_sums
from moreish.text.lines import Lines
from moreish.text.typos import probable_typos

PATIENT = settings(deadline=None)
"""However busy the machine."""
LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=12)
CLOSE_LINE = st.text("aé名", min_size=1, max_size=5)
"""Lines of three symbols of one, two and three bytes: many are equal, many one edit apart."""
CLOSE_LISTS = st.lists(CLOSE_LINE, max_size=30)
MODULUS = 1 << 64
PINNED = ["4c9317489b885838", "015190e38ee7c5c5", "7eaf9ca84ca9f610", "d8441bd9bbf11a25"]
"""Runs keep hashes of their lines: what these are must not change."""


@pytest.fixture
def small_slices(monkeypatch):
    """Slices of 16 symbols, so that short lines already run over their edges."""
    monkeypatch.setattr(hashing, "SLICE", 16)
    hashing._powers.cache_clear()
    yield
    monkeypatch.undo()
    hashing._powers.cache_clear()


def python_sum(line: str) -> int:
    """The documented formula, in Python's integers."""

    def mix(number: int) -> int:
        number = (number + int(hashing._SALT)) % MODULUS
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % MODULUS
        number = (number ^ number >> 27) * 0x94D049BB133111EB % MODULUS
        return number ^ number >> 31

    return sum(mix(ord(symbol)) * hashing._R**position for position, symbol in enumerate(line)) % MODULUS


def one_edit_apart(line: str, other: str) -> bool:
    return Levenshtein.distance(line, other) == 1


# Hashes


@PATIENT
@given(st.lists(LINE, max_size=20))
def test_lines_have_the_same_hash_exactly_when_they_are_equal(lines):
    hashes = line_hashes(Lines.of(lines)).tolist()
    assert len(hashes) == len(lines)
    assert len(set(hashes)) == len(set(lines))
    assert len(set(zip(hashes, lines))) == len(set(lines))


@PATIENT
@given(st.lists(LINE, min_size=1, max_size=8))
def test_sums_follow_the_documented_formula(lines):
    assert line_sums(*Lines.of(lines).codepoints()).tolist() == [python_sum(line) for line in lines]


def test_hashes_are_the_same_on_every_machine_and_for_ever():
    assert [f"{number:016x}" for number in line_hashes(Lines.of(["emma", "é", "名前", "🦕"])).tolist()] == PINNED


def test_lines_longer_than_a_slice_keep_their_sums(small_slices):
    lines = ["a", "bc" * 20, "é" * 16, "d" * 15, "e" * 100, "f"]
    assert line_sums(*Lines.of(lines).codepoints()).tolist() == [python_sum(line) for line in lines]


def test_hashes_do_not_depend_on_blocks_or_on_their_neighbours():
    lines = ["ada", "josé", "mia", "名前"]
    one_by_one = Lines(reread=lambda: (f"{line}\n".encode() for line in lines))
    assert np.array_equal(line_hashes(one_by_one), line_hashes(Lines.of(lines)))


# First occurrences


def first_by_dictionary(values: list[int]) -> list[int]:
    first: dict[int, int] = {}
    for i, value in enumerate(values):
        first.setdefault(value, i)
    return list(first.values())


@PATIENT
@given(st.lists(st.integers(0, 12) | st.integers(0, MODULUS - 1), max_size=60))
def test_first_occurrences_are_those_of_a_dictionary(values):
    # Small numbers share all their upper bits, so equal ones must be told from those that only look equal.
    assert first_occurrences(np.array(values, dtype=np.uint64)).tolist() == first_by_dictionary(values)


def test_first_occurrences_over_many_slices():
    random = np.random.default_rng(0)
    values = random.integers(0, MODULUS, 100_000, dtype=np.uint64)[random.integers(0, 100_000, 200_000)]
    values[::7] &= np.uint64(0xFFFF)
    assert first_occurrences(values).tolist() == first_by_dictionary(values.tolist())


def test_first_occurrences_need_12_bytes_a_line_at_most():
    hashes = np.random.default_rng(0).integers(0, MODULUS, 1_000_000, dtype=np.uint64)
    tracemalloc.start()
    first_occurrences(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * len(hashes)  # 120 MB for ten million


# Hashes of edited lines


@PATIENT
@given(st.lists(LINE, min_size=1, max_size=6))
def test_a_deletion_has_the_sum_of_the_line_without_that_symbol(lines):
    (part,) = edited_sums(*Lines.of(lines).codepoints())
    places = [(i, k) for i, line in enumerate(lines) for k in range(len(line))]
    assert list(zip(part.line.tolist(), part.position.tolist())) == places
    assert part.deleted.tolist() == [python_sum(lines[i][:k] + lines[i][k + 1 :]) for i, k in places]
    assert part.distinct.tolist() == [k == 0 or lines[i][k] != lines[i][k - 1] for i, k in places]


def test_two_lines_share_a_wildcard_at_a_place_exactly_when_they_differ_nowhere_else():
    lines = ["anna", "anya", "annie", "ana", "anna", "nana"]
    (part,) = edited_sums(*Lines.of(lines).codepoints())
    for i, k, value in zip(part.line.tolist(), part.position.tolist(), part.replaced.tolist()):
        for j, m, other in zip(part.line.tolist(), part.position.tolist(), part.replaced.tolist()):
            same = (k, lines[i][:k], lines[i][k + 1 :]) == (m, lines[j][:m], lines[j][m + 1 :])
            assert (value == other) == same


def test_edited_sums_come_in_slices_and_leave_out_what_is_too_long_or_too_short(small_slices):
    lines = ["abc", "d" * 40, "ef", "ghij", "klmnop", "q"]
    parts = list(edited_sums(*Lines.of(lines).codepoints(), at_least=2))
    assert len(parts) > 1
    found = [(i, k) for part in parts for i, k in zip(part.line.tolist(), part.position.tolist())]
    assert found == [(i, k) for i in (0, 2, 3, 4) for k in range(len(lines[i]))]
    sums = [value for part in parts for value in part.deleted.tolist()]
    assert sums == [python_sum(lines[i][:k] + lines[i][k + 1 :]) for i, k in found]


# Neighbours


@given(lines=CLOSE_LISTS, queries=st.lists(CLOSE_LINE | st.just(""), max_size=30), streamed=st.booleans())
@settings(PATIENT, max_examples=300)
def test_copies_and_neighbours_are_those_of_brute_force(lines, queries, streamed):
    index = EditIndex(Lines.of(lines), streamed=streamed)
    copies = [lines.index(query) if query in lines else -1 for query in queries]
    assert index.copies(Lines.of(queries)).tolist() == copies
    near = [next((i for i, line in enumerate(lines) if one_edit_apart(query, line)), -1) for query in queries]
    assert index.neighbours(Lines.of(queries)).tolist() == near


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("query", "line", "near"),
    [
        ("emma", "emmy", True),
        ("emma", "emm", True),
        ("emma", "emmaa", True),
        ("emma", "ema", True),
        ("jose", "josé", True),
        ("josé", "jos", True),
        ("🦕", "🦖", True),
        ("a", "b", True),
        ("emma", "emma", False),
        ("emma", "mema", False),  # a transposition is two edits
        ("emma", "mmae", False),  # a deletion and an insertion
        ("emma", "em", False),
        ("jose", "jose\u0301", True),
        ("é", "e\u0301", False),
    ],
)
def test_what_one_edit_is(query, line, near, streamed):
    index = EditIndex(Lines.of([line]), streamed=streamed)
    assert (index.neighbours(Lines.of([query]))[0] == 0) == near == one_edit_apart(query, line)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_only_hashes_alike_is_not_found(monkeypatch, streamed):
    monkeypatch.setattr(hashing, "_mixed", lambda codes: (codes != 10).astype(np.uint64))  # all symbols alike
    lines = Lines.of(["abc", "abd", "xyz"])
    index = EditIndex(lines, streamed=streamed)
    assert index.copies(Lines.of(["zzz", "qrs"])).tolist() == [-1, -1]
    assert index.neighbours(Lines.of(["qqq", "zzzz", "zz"])).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_index_of_nothing_and_a_search_for_nothing(streamed):
    nothing, something = Lines.of([]), Lines.of(["a"])
    for lines, queries, found in ((nothing, something, [-1]), (something, nothing, []), (nothing, nothing, [])):
        index = EditIndex(lines, streamed=streamed)
        assert index.copies(queries).tolist() == index.neighbours(queries).tolist() == found


@pytest.mark.parametrize("streamed", [False, True])
def test_lines_longer_than_a_slice_are_copied_but_near_nothing(streamed, small_slices):
    index = EditIndex(Lines.of(["b" * 40, "a" * 15]), streamed=streamed)
    queries = Lines.of(["b" * 40, "b" * 39, "a" * 14])
    assert index.copies(queries).tolist() == [0, -1, -1]
    assert index.neighbours(queries).tolist() == [-1, -1, 1]


def test_verifying_in_small_portions_changes_nothing(monkeypatch):
    lines = Lines.of([f"{i:05}" for i in range(0, 3000, 3)])
    queries = Lines.of([f"{i:05}" for i in range(1000)])
    whole = EditIndex(lines).neighbours(queries)
    monkeypatch.setattr(edits, "VERIFIED", 100)
    assert np.array_equal(EditIndex(lines).neighbours(queries), whole)


def test_a_table_finds_every_entry_of_a_key():
    table = Table(np.array([5, 3 << 60, 5, 9, MODULUS - 1], dtype=np.uint64))
    which, entries = table.find_all(np.array([9, 4, 5, MODULUS - 1, MODULUS - 2], dtype=np.uint64))
    assert list(zip(which.tolist(), entries.tolist())) == [(0, 3), (2, 0), (2, 2), (3, 4)]


# Typos


@PATIENT
@given(
    lines=st.lists(st.text("aé", min_size=5, max_size=11).map(lambda tail: "aaa" + tail), unique=True, max_size=40),
    keys=st.sampled_from([1 << 22, 64]),
)
def test_probable_typos_are_those_of_brute_force(lines, keys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typos, "TYPO_KEYS", keys)
        found = probable_typos(Lines.of(lines))
    pairs = [(i, j) for j in range(len(lines)) for i in range(j) if one_edit_apart(lines[i], lines[j])]
    assert [tuple(pair) for pair in found.pairs.tolist()] == sorted(pairs)
    assert (found.count, found.near, found.long) == (len(pairs), len({i for pair in pairs for i in pair}), len(lines))


def test_short_lines_have_no_typos():
    lines = ["1234567", "1234568", "12345678", "12345679", "123456789"]
    found = probable_typos(Lines.of(lines))
    assert found.pairs.tolist() == [[2, 3], [2, 4], [3, 4]]
    assert (found.count, found.near, found.long) == (3, 3, 3)


def test_all_pairs_are_counted_though_few_are_given():
    found = probable_typos(Lines.of([f"{i:08}" for i in range(1000)]), limit=10)
    assert (found.count, len(found.pairs), found.near) == (1000 * 27 // 2, 10, 1000)
