"""Streams of randomness: named, independent, the same everywhere."""

import os
import subprocess
import sys

import pytest
import torch

from moreish.errors import UsageError
from moreish.randomness import stream, stream_seed

PINNED = {(0, "sampling"): 191_984_038_189_734_928, (42, "weights"): 7_716_750_898_238_122_512}
"""Samples and weights of a seed are promised to stay: what these are must not change."""


def test_a_seed_and_a_name_make_a_stream_and_only_they():
    first = torch.rand(5, generator=stream(3, "sampling"))
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(first, torch.rand(5, generator=stream(3, "sampling")))
    for other in (stream(4, "sampling"), stream(3, "weights"), stream(0, "3/sampling")):
        assert not torch.equal(first, torch.rand(5, generator=other))


def test_drawing_from_one_stream_shifts_no_other():
    a, b = stream(1, "a"), stream(1, "b")
    expected = torch.rand(3, generator=stream(1, "b"))
    torch.rand(1000, generator=a)
    assert torch.equal(torch.rand(3, generator=b), expected)


def test_the_streams_of_seeds_side_by_side_share_no_seed():
    seeds = {stream_seed(seed, name) for seed in range(500) for name in ("a", "b", "1", "1/a")}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_seeds_of_streams_stay_what_they_are():
    assert {key: stream_seed(*key) for key in PINNED} == PINNED


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, True, 1.0, "1", None, float("nan")])
def test_seeds_that_are_none_are_refused(seed, types_unchecked):
    with pytest.raises(UsageError, match="seed="):
        stream(seed, "sampling")


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_smallest_and_largest_seed_do(seed):
    assert torch.rand(1, generator=stream(seed, "x")).shape == (1,)


def test_samples_are_the_same_in_every_process(tmp_path):
    code = (
        "import moreish; c = moreish.Corpus.of(['emma', 'ava', 'olivia', 'éva', 'mia'] * 3); "
        "t = moreish.fit(c, 'ngram', order=3); print(moreish.sample(t, 20, seed=7).to_dict())"
    )
    outputs = set()
    for variables in ({"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}):
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, check=True
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1 and len(outputs.pop()) > 500
