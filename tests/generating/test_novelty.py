"""Origins of lines, held against Python's sets and rapidfuzz's distances; Wilson's interval against its definition."""

import subprocess
import sys
from functools import partial
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.errors import UsageError
from moreish.generating import nearest as nearest_module
from moreish.generating.novelty import Novelty, wilson
from moreish.text import edits
from moreish.text.hashing import LONGEST_EDITED, line_hashes
from moreish.text.lines import Lines
from moreish.text.two_edits import two_edits_away

PATIENT = settings(deadline=None)
"""However busy the machine."""
LISTS = st.lists(st.text("abé", min_size=1, max_size=6), max_size=25)
WITH_EMPTY = st.lists(st.text("ab名😀", max_size=7), max_size=15)


def python_origin(text: str, lines: list[str]) -> tuple[str, str | None]:
    if text in lines:
        return "copy", None
    near = next((line for line in lines if Levenshtein.distance(text, line) == 1), None)
    return ("new", None) if near is None else ("near copy", near)


@PATIENT
@given(lines=LISTS, texts=LISTS)
def test_origins_are_those_of_brute_force(lines, texts):
    expected = [python_origin(text, lines) for text in texts]
    run = Novelty(Lines.of(lines))
    for given_as in (texts, Lines.of(texts)):
        found = run.origins(given_as)
        assert list(found) == expected and len(found) == len(texts)
    assert found.is_new.tolist() == [origin != "copy" for origin, _ in expected]
    assert found.is_near.tolist() == [origin == "near copy" for origin, _ in expected]


@PATIENT
@given(lines=LISTS, texts=LISTS)
def test_with_hashes_only_copies_are_found_and_nothing_is_near(lines, texts):
    run = Novelty(None, line_hashes(Lines.of(lines)))
    assert not run.knows_near and Novelty(Lines.of(lines)).knows_near
    assert list(run.origins(texts)) == [("copy" if text in lines else "new", None) for text in texts]
    assert run.within(texts, 0).tolist() == [text in lines for text in texts]


@PATIENT
@given(lines=LISTS, texts=LISTS, distance=st.integers(0, 4))
def test_lines_within_a_distance_are_those_of_brute_force(lines, texts, distance):
    found = Novelty(Lines.of(lines)).within(texts, distance)
    assert found.tolist() == [any(Levenshtein.distance(text, line) <= distance for line in lines) for text in texts]


def python_nearest(text: str, lines: list[str], within: int | None) -> tuple[int, int]:
    distances = [Levenshtein.distance(text, line) for line in lines]
    least = min(distances, default=0)
    return (least, distances.index(least)) if lines and (within is None or least <= within) else (-1, -1)


@settings(deadline=None, max_examples=60)
@given(lines=WITH_EMPTY, texts=WITH_EMPTY, within=st.none() | st.integers(0, 5))
@pytest.mark.parametrize("always", [False, True])
def test_the_nearest_line_is_the_first_of_the_nearest_by_brute_force(always, lines, texts, within):
    """`always`: by hashes also where measuring is quicker, as it is with so few lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "two_edits_away", partial(two_edits_away, always=always))
        found = Novelty(Lines.of(lines)).nearest(texts, within)
    expected = [python_nearest(text, lines, within) for text in texts]
    assert list(zip(found.distance.tolist(), found.line.tolist())) == expected and len(found) == len(texts)
    assert found.texts() == [None if at < 0 else lines[at] for _, at in expected]


def test_what_hashes_find_wrongly_is_measured(monkeypatch):
    lines, texts = ["zzzz", "emily", "emma"], ["amna", "qqqqqq"]
    wrong = (np.zeros(2, dtype=np.int64), np.ones(2, dtype=bool))
    monkeypatch.setattr(nearest_module, "two_edits_away", lambda *_: wrong)
    found = Novelty(Lines.of(lines)).nearest(texts, 2)
    assert (found.distance.tolist(), found.line.tolist()) == ([2, -1], [2, -1])


def test_lines_too_long_for_an_index_of_edits_are_measured():
    long = "ab" * (LONGEST_EDITED // 2)
    lines = ["a", long + "bb", long, long + "b"]
    found = Novelty(Lines.of(lines)).nearest([long + "ba", long + "bbb", long[1:], "b"], 2)
    assert (found.distance.tolist(), found.line.tolist()) == ([1, 1, 1, 1], [1, 1, 2, 0])


def test_measuring_in_small_portions_changes_nothing(monkeypatch):
    lines, texts = [f"{i:06}" for i in range(0, 9000, 90)], [f"{i:05}" for i in range(0, 3000, 7)]
    whole = Novelty(Lines.of(lines)).within(texts, 2)
    far = Novelty(Lines.of(lines)).nearest(texts, None)
    monkeypatch.setattr(nearest_module, "LINES_AT_ONCE", 7)
    monkeypatch.setattr(nearest_module, "QUERIES_AT_ONCE", 5)
    monkeypatch.setattr(nearest_module, "CHECKED_AT_ONCE", 3)
    monkeypatch.setattr(edits, "ASKED_AT_ONCE", 40)
    assert whole.any() and not whole.all()
    assert np.array_equal(Novelty(Lines.of(lines)).within(texts, 2), whole)
    again = Novelty(Lines.of(lines)).nearest(texts, None)
    assert np.array_equal(again.distance, far.distance) and np.array_equal(again.line, far.line)
    assert far.distance.max() > 2


def test_the_named_line_is_the_first_of_those_one_edit_away():
    run = Novelty(Lines.of(["mia", "emily", "ema", "emma", "emm"]))
    assert list(run.origins(["emmy", "emma", "em", "zoe", "emil"])) == [
        ("near copy", "emma"),
        ("copy", None),
        ("near copy", "ema"),
        ("new", None),
        ("near copy", "emily"),
    ]


@pytest.mark.parametrize("distance", [-1, True])
def test_a_distance_that_is_none_is_refused(distance):
    with pytest.raises(UsageError, match="is not a number of edits"):
        Novelty(Lines.of(["a"])).within(["b"], distance)
    with pytest.raises(UsageError, match="is not a number of edits"):
        Novelty(Lines.of(["a"])).nearest(["b"], distance)


@pytest.mark.parametrize("distance", [1, 2])
def test_a_distance_without_lines_is_refused(distance):
    with pytest.raises(UsageError, match="--no-keep-list"):
        Novelty(None, line_hashes(Lines.of(["a"]))).within(["b"], distance)
    for within in (0, distance, None):
        with pytest.raises(UsageError, match="--no-keep-list"):
            Novelty(None, line_hashes(Lines.of(["a"]))).nearest(["b"], within)


# Wilson's interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (3, 20), (10, 20), (20, 20), (660, 1000)])
def test_wilsons_ends_are_where_the_score_test_just_rejects(successes, trials):
    low, high = wilson(successes, trials)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) / np.sqrt(end * (1 - end) / trials) == pytest.approx(1.959964, rel=1e-6)
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


def test_wilsons_known_values():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert wilson(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I, method 3


def test_wilsons_interval_holds_the_truth_in_about_95_of_100_cases():
    trials, truth = 50, 0.3
    held = 0.0
    for k in range(trials + 1):
        low, high = wilson(k, trials)
        held += (low <= truth <= high) * comb(trials, k) * truth**k * (1 - truth) ** (trials - k)
    assert 0.93 < held < 0.97


def test_novelty_loads_no_torch():
    code = "import sys, moreish.generating.novelty; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
