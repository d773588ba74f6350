"""Origins of lines, held against Python's sets and rapidfuzz's distances; Wilson's interval against its definition."""

import subprocess
import sys
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.errors import UsageError
from moreish.generating import novelty
from moreish.generating.novelty import Novelty, wilson
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines

PATIENT = settings(deadline=None)
"""However busy the machine."""
LISTS = st.lists(st.text("abé", min_size=1, max_size=6), max_size=25)


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


def test_measuring_in_small_portions_changes_nothing(monkeypatch):
    lines, texts = [f"{i:06}" for i in range(0, 9000, 90)], [f"{i:05}" for i in range(0, 3000, 7)]
    whole = Novelty(Lines.of(lines)).within(texts, 2)
    monkeypatch.setattr(novelty, "LINES_AT_ONCE", 7)
    monkeypatch.setattr(novelty, "QUERIES_AT_ONCE", 5)
    assert whole.any() and not whole.all()
    assert np.array_equal(Novelty(Lines.of(lines)).within(texts, 2), whole)


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


@pytest.mark.parametrize("distance", [1, 2])
def test_a_distance_without_lines_is_refused(distance):
    with pytest.raises(UsageError, match="--no-keep-list"):
        Novelty(None, line_hashes(Lines.of(["a"]))).within(["b"], distance)


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
