"""Intervals against closed forms, printed tables, full enumeration, and how often they hold what they should."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest

from moreish.learning import intervals
from moreish.learning.intervals import Bootstrap

# Student's t, the 97.5th percentile, as printed in every table of it: degrees of freedom -> t.
PRINTED_T = {9: 2.262, 19: 2.093, 29: 2.045, 59: 2.001, 119: 1.980, 999: 1.962}


def gammas(rng: np.random.Generator, sizes: np.ndarray) -> np.ndarray:
    """Nats of lines whose loss per symbol is 2.1."""
    return rng.gamma(3 * sizes, 0.7)


@pytest.mark.parametrize("lines", [30, 200, 1000])
def test_where_lines_are_alike_in_length_it_is_the_mean_and_students_t(lines):
    nats = np.random.default_rng(lines).normal(2.0, 0.5, lines)
    at = Bootstrap(np.ones(lines, np.int64), draws=40_000).loss(nats).interval()
    t = np.interp(lines - 1, list(PRINTED_T), list(PRINTED_T.values()))
    half = t * nats.std(ddof=1) / math.sqrt(lines)
    assert at.value == pytest.approx(nats.mean())
    assert (at.low - nats.mean(), at.high - nats.mean()) == (
        pytest.approx(-half, rel=0.04),
        pytest.approx(half, rel=0.04),
    )


@pytest.mark.parametrize("lines", [60, 1000])
def test_where_they_differ_it_is_the_ratios_linearised_error(lines):
    rng = np.random.default_rng(lines)
    sizes = rng.integers(2, 15, lines)
    nats = gammas(rng, sizes) + 0.3 * sizes**1.5
    ratio = nats.sum() / sizes.sum()
    # Cochran, Sampling Techniques, eq. 6.9: the residuals from the ratio carry the error.
    error = math.sqrt(lines / (lines - 1) * ((nats - ratio * sizes) ** 2).sum()) / sizes.sum()
    at = Bootstrap(sizes, draws=40_000).loss(nats).interval()
    assert at.value == pytest.approx(ratio)
    assert (at.high - at.low) / 2 == pytest.approx(
        np.interp(lines - 1, list(PRINTED_T), list(PRINTED_T.values())) * error, rel=0.04
    )


@pytest.mark.parametrize("freedom, t", PRINTED_T.items())
def test_the_percentiles_are_those_of_the_printed_t(freedom, t):
    lines = freedom + 1
    out = -NormalDist().inv_cdf(intervals._tail(lines)) * math.sqrt(freedom / lines)
    assert out == pytest.approx(t, abs=0.002)


@pytest.mark.parametrize("sizes, nats", [
    ([3, 5], [6.0, 7.0]), ([1, 4, 9], [3.0, 9.0, 17.0]), ([2, 2, 2, 7], [1.0, 4.0, 9.0, 12.0]),
])  # fmt: skip
def test_draws_are_all_ways_of_drawing_lines_equally_often(sizes, nats):
    ways = list(itertools.product(range(len(sizes)), repeat=len(sizes)))
    expected: dict[float, float] = {}
    for way in ways:
        ratio = round(sum(nats[i] for i in way) / sum(sizes[i] for i in way), 9)
        expected[ratio] = expected.get(ratio, 0) + 1 / len(ways)
    draws = 40_000
    drawn = Bootstrap(np.array(sizes), draws=draws).loss(np.array(nats)).drawn
    found, counts = np.unique(drawn.round(9), return_counts=True)
    assert found.tolist() == sorted(expected)
    chi2 = sum((count - draws * p) ** 2 / (draws * p) for count, (_, p) in zip(counts, sorted(expected.items())))
    freedom = len(expected) - 1
    assert chi2 < freedom + 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("lines", [15, 60, 150])
def test_intervals_hold_the_true_figure_in_95_of_100_trials(lines):
    rng = np.random.default_rng(lines)
    trials = 1000
    losses = differences = 0
    for seed in range(trials):
        sizes = rng.integers(3, 14, lines)
        draws = Bootstrap(sizes, draws=500, seed=seed)
        nats = gammas(rng, sizes)
        other = nats + rng.normal(0.05 * sizes, 0.2 * np.sqrt(sizes))
        one, two = draws.loss(nats), draws.loss(other)
        at, apart = one.interval(), two.minus(one)
        losses += at.low <= 2.1 <= at.high
        differences += apart.low <= 0.05 <= apart.high
    assert 0.93 <= losses / trials <= 0.97
    assert 0.93 <= differences / trials <= 0.97


def test_a_difference_is_surer_than_the_losses_where_what_is_hard_is_hard_for_both():
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, 14, 500)
    draws = Bootstrap(sizes)
    nats = gammas(rng, sizes)
    one, two = draws.loss(nats), draws.loss(nats + 0.01 * sizes)
    apart = two.minus(one)
    assert (apart.value, apart.low, apart.high) == pytest.approx((0.01, 0.01, 0.01))
    assert apart.above and not apart.below and one.minus(two).below
    assert one.interval().high > two.interval().low  # the losses' own intervals overlap
    alike = draws.loss(nats + rng.normal(0, 0.1, 500)).minus(one)
    assert not alike.above and not alike.below


def test_the_same_seed_gives_the_same_draws_and_another_others():
    sizes = np.arange(1, 40)
    nats = np.sqrt(sizes) * 3
    one, again, other = (Bootstrap(sizes, seed=seed).loss(nats).drawn for seed in (4, 4, 5))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    pair = Bootstrap(sizes, seed=4)
    pair.loss(nats * 2)
    assert np.array_equal(pair.loss(nats).drawn, one)  # whatever was asked before


def test_of_very_many_lines_handfuls_are_drawn_and_the_interval_is_the_same(monkeypatch):
    rng = np.random.default_rng(2)
    sizes = rng.integers(3, 14, 6_001)
    nats = gammas(rng, sizes)
    monkeypatch.setattr(intervals, "MOST_DRAWN", 7_000)
    each = Bootstrap(sizes, draws=8_000).loss(nats).interval()
    monkeypatch.setattr(intervals, "MOST_DRAWN", 1_000)
    handfuls = Bootstrap(sizes, draws=8_000).loss(nats).interval()
    assert handfuls.value == each.value
    assert handfuls.high - handfuls.low == pytest.approx(each.high - each.low, rel=0.1)


def test_infinite_lines_make_infinite_losses_and_no_nan_where_there_is_a_figure():
    sizes, nats = np.full(30, 5), np.full(30, 10.0)
    endless = np.where(np.arange(30) == 7, math.inf, nats)
    draws = Bootstrap(sizes)
    one, two = draws.loss(nats), draws.loss(endless)
    at = two.interval()
    assert at.value == at.high == math.inf and at.low == 2.0  # a draw in three leaves that line out
    assert two.minus(one).value == math.inf and one.minus(two).value == -math.inf
    assert math.isnan(two.minus(two).value) and not two.minus(two).above and not two.minus(two).below
    all_endless = draws.loss(np.full(30, math.inf)).interval()
    assert (all_endless.low, all_endless.high) == (math.inf, math.inf)


def test_one_line_has_a_loss_but_no_interval():
    at = Bootstrap(np.array([4])).loss(np.array([8.0])).interval()
    assert at.value == 2.0 and math.isnan(at.low) and math.isnan(at.high) and not at.above and not at.below
