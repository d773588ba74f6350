"""Lines two edits apart, held against rapidfuzz; the hashes of twice edited lines against Python's strings."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.text import two_edits
from moreish.text.hashing import TwiceEdited, edited_sums, line_sums
from moreish.text.lines import Lines
from moreish.text.two_edits import LONGEST_PAIRED, two_edits_away

LISTS = st.lists(st.text("abé名😀", max_size=6), max_size=15)


def brute_force(lines: list[str], text: str) -> int:
    return next((i for i, line in enumerate(lines) if Levenshtein.distance(text, line) == 2), -1)


def far(lines: list[str], texts: list[str]) -> list[str]:
    """Those that no line is nearer to than two edits, as is asked of queries."""
    return [text for text in texts if all(Levenshtein.distance(text, line) > 1 for line in lines)]


@settings(deadline=None)
@given(lines=LISTS, texts=LISTS)
def test_the_first_line_two_edits_away_is_that_of_brute_force(lines, texts):
    queries = far(lines, texts)
    found, searched = two_edits_away(Lines.of(lines), Lines.of(queries), always=True)
    assert searched.all() and found.tolist() == [brute_force(lines, text) for text in queries]


@pytest.mark.parametrize(
    "text, line",
    [
        ("emma", "etta"), ("emma", "ea"), ("emma", "ma"), ("emma", "em"), ("ea", "emma"), ("mmm", "m"), ("m", "mmm"),
        ("emma", "mmae"), ("emma", "mmaa"), ("emma", "ama"), ("emma", "amaemma"[:5]), ("ab", "ba"), ("", "ab"),
        ("ab", ""), ("ab", "cd"), ("a", "bc"), ("ab", "c"), ("名前x", "名y"), ("naïve", "nave2"),
    ],
)  # fmt: skip
def test_each_kind_of_two_edits_is_found(text, line):
    expected = 0 if Levenshtein.distance(text, line) == 2 else -1
    assert two_edits_away(Lines.of([line]), Lines.of([text]), always=True)[0].tolist() == [expected]


def test_tables_and_probes_in_small_portions_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    lines = ["".join(random.choice(list("abcd"), size)) for size in random.integers(3, 12, 60)]
    texts = far(lines, ["".join(random.choice(list("abcd"), size)) for size in random.integers(3, 12, 400)])
    expected = [brute_force(lines, text) for text in texts]
    assert 0 < sum(line >= 0 for line in expected) < len(texts) and max(expected) > 3
    for keys, probes in ((two_edits.KEYS_AT_ONCE, two_edits.PROBES_AT_ONCE), (300, 1), (1, 1000)):
        monkeypatch.setattr(two_edits, "KEYS_AT_ONCE", keys)
        monkeypatch.setattr(two_edits, "PROBES_AT_ONCE", probes)
        assert two_edits_away(Lines.of(lines), Lines.of(texts), always=True)[0].tolist() == expected


def test_what_is_quicker_to_measure_is_left_out_and_said():
    known = [f"{i:08}" for i in range(2000)]
    few, many = Lines.of(["9" * 8]), Lines.of([f"{i:08}" for i in range(90_000_000, 90_050_000, 5)])
    assert not two_edits_away(Lines.of(known), few)[1].any() and two_edits_away(Lines.of(known), many)[1].all()
    long = Lines.of(["a" * (LONGEST_PAIRED + 1)])
    assert two_edits_away(Lines.of(["b"]), long, always=True)[1].tolist() == [False]
    assert all(part.tolist() == [] for part in two_edits_away(Lines.of(known), Lines.of([])))


# ---- hashes

WILDCARD = "*"


def hashes_of(texts: list[str]) -> list[set[int]]:
    """By the sums of single lines and single edits alone: of `texts`, in which at most one symbol is WILDCARD."""
    found = []
    for text in texts:
        codes, starts = Lines.of([text.replace(WILDCARD, "?")]).codepoints()
        at = text.find(WILDCARD)
        if at < 0:
            found.append(int(line_sums(codes, starts)[0]))
        else:
            (part,) = edited_sums(codes, starts)
            found.append(int(part.replaced[at]))
    return found


@pytest.mark.parametrize("text", ["emma", "aaaa", "ab", "éva名", "😀x😀yz"])
def test_edited_hashes_are_those_of_the_edited_text(text):
    codes, _ = Lines.of([text]).codepoints()
    sums = TwiceEdited(codes[None, :-1])
    places = range(len(text))
    without = [text[:i] + text[i + 1 :] for i in places]
    masked = [text[:i] + WILDCARD + text[i + 1 :] for i in places]
    assert sums.whole.tolist() == [hashes_of([text])]
    assert sums.deleted.tolist() == [hashes_of(without)] and sums.replaced.tolist() == [hashes_of(masked)]
    twice = ["".join(text[k] for k in places if k not in pair) for pair in combinations(places, 2)]
    assert sums.deleted_twice.tolist() == [hashes_of(twice)]
    both = ["".join(WILDCARD if k == j else text[k] for k in places if k != i) for i, j in permutations(places, 2)]
    assert sorted(sums.deleted_and_replaced[0].tolist()) == sorted(hashes_of(both))
    # Two wildcards: the two symbols under them do not matter, every other does.
    other = TwiceEdited(np.array([[codes[0] + 1, *codes[1:-2], codes[-2] + 1]], dtype=codes.dtype))
    same = [pair == (0, len(text) - 1) for pair in combinations(places, 2)]
    assert (sums.replaced_twice == other.replaced_twice).tolist() == [same]
