"""Intervals over seeds: Student's published numbers, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest

from moreish.explaining.seeds import over_seeds, student

# Student's t, two-sided 95 %: Abramowitz and Stegun 1964, table 26.10.
PUBLISHED = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 29: 2.045, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize("freedom, wanted", PUBLISHED.items())
def test_students_numbers_are_the_published_ones(freedom, wanted):
    assert student(freedom) == pytest.approx(wanted, abs=6e-4)


@pytest.mark.parametrize("freedom, level, wanted", [(4, 0.99, 4.604), (7, 0.90, 1.895), (1, 0.5, 1.0)])
def test_other_levels_too(freedom, level, wanted):
    assert student(freedom, level) == pytest.approx(wanted, abs=6e-4)


def test_an_interval_holds_as_often_as_it_says():
    drawn = np.random.default_rng(0).normal(0.7, 2, (4000, 5))
    found = [over_seeds(row.tolist()) for row in drawn]
    holds = np.mean([each.low <= 0.7 <= each.high for each in found if each.low is not None and each.high is not None])
    assert abs(holds - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)
    assert found[0].value == pytest.approx(drawn[0].mean())


def test_one_seed_has_no_interval_and_decides_nothing():
    one = over_seeds([3.0])
    assert (one.value, one.low, one.high, one.seeds) == (3.0, None, None, 1)
    assert not one.above and not one.below
    assert over_seeds([1.0, 1.1, 1.2]).above and over_seeds([-1.0, -1.1, -1.2]).below
    assert not over_seeds([-1.0, 1.0]).above and not over_seeds([-1.0, 1.0]).below
