"""R24: runs written by every released version load, for ever. Nothing under tests/fixtures is ever written anew.

`run-0.1.0` was made by version 0.1.0 from invented lines: `train LIST --order 3`; `train LIST --model bigram --symbols
words --no-keep-list`; `train LIST --model one-layer --closed-form --symbols bytes --split lecture`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.score import score
from moreish.runs.directory import count_looks, describe, load, record_look
from moreish.runs.recording import save

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASED = {
    "run-0.1.0/ngram": {
        "nats": {"ana": 2.302218686, "selena": 6.114186996, "ñ": 6.658219978, "": 3.103023410},
        "loss": 1.354662283,
    },
    "run-0.1.0/bigram-of-hashes": {
        "nats": {"rye cake": 5.306616169, "apple  cake": 6.222906901},
        "loss": None,
    },
    "run-0.1.0/one-layer": {
        "nats": {"ana": 4.322855338, "ñ": 32.77258873},
        "loss": 8.8050995705,
    },
}  # fmt: skip


def test_every_fixture_is_tested():
    assert {path.parent.relative_to(FIXTURES).as_posix() for path in FIXTURES.glob("*/*/run.toml")} == RELEASED.keys()


@pytest.mark.parametrize("name", RELEASED)
def test_a_run_of_a_released_version_is_as_it_was(name, tmp_path):
    expected = RELEASED[name]
    shutil.copytree(FIXTURES / name, tmp_path / "run")  # whoever loads may leave a lock beside it
    trained = load(tmp_path / "run")
    assert {one.text: one.nats for one in score(trained, expected["nats"])} == pytest.approx(expected["nats"], abs=1e-5)
    made = [line.text for line in sample(trained, 5, seed=7).lines]  # which ones, no version promises another
    assert len(made) == 5 and [one.text for one in score(trained, made)] == made
    if expected["loss"] is not None:
        assert evaluate(trained).nats_per_symbol == pytest.approx(expected["loss"], abs=1e-5)
    told = describe(tmp_path / "run")
    assert told["moreish"] == "0.1.0" and told["test_looks"] == 0 and told["evaluation"]["part"] in ("kfold", "dev")
    assert record_look(tmp_path / "run", "test") == count_looks(tmp_path / "run") == 1
    if trained.hashes is None:
        save(trained, tmp_path / "again")
        assert load(tmp_path / "again").corpus.lines == trained.corpus.lines
