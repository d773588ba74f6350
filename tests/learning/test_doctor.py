"""The doctor: what it says of healthy and of spoiled trainings, what it prescribes, and what it never looks at."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from moreish.errors import ConfigError
from moreish.learning.doctor import diagnosis
from moreish.learning.doctor.composition import Composing
from moreish.learning.doctor.course import run
from moreish.learning.doctor.diagnosis import diagnose, first_of
from moreish.learning.doctor.evidence import Evidence
from moreish.learning.doctor.faults import FAULTS, networks
from moreish.learning.doctor.finding import Finding
from moreish.learning.doctor.listing import listed
from moreish.learning.doctor.rules import judge
from moreish.learning.doctor.setup import Setup
from moreish.learning.fit import make_recipe
from moreish.learning.steps import begin
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines

SGD = {"optimizer": "sgd", "lr": 0.3, "batch": 32, "steps": 240}
SIZES = {
    "mlp": {"context": 3, "embedding": 10, "hidden": 48},
    "mlp-bn": {"embedding": 10, "hidden": 48},
    "rnn": {"embedding": 10, "hidden": 32, "dropout": 0.0},
    "wavenet": {"width": 16, "skip": 16, "layers": 2},
}
SEED = 3
LATE = {"overfit", "learning-rate-too-low", "underfit-hidden", "underfit-embedding"}
"""Faults that only a longer training shows."""


@pytest.fixture(scope="module")
def names():
    return Corpus.of(list(Corpus.read("names").train[:2000]), name="names")


@pytest.fixture(autouse=True)
def quickly(types_unchecked):
    """A training makes thousands of calls; what is checked of types elsewhere need not be checked in each."""


def setup_of(corpus: Corpus, model: str = "mlp", seed: int = SEED, **learning) -> Setup:
    recipe = make_recipe(corpus, model, seed=seed, **SIZES[model], **{**SGD, **learning})
    return Setup(recipe, corpus.train, corpus.dev, corpus.alphabet)


PLANTED = [
    *((name, "mlp") for name, fault in FAULTS.items() if "mlp" in fault.models),
    *((name, "mlp-bn") for name in ("saturated", "batchnorm-mode", "batchnorm-padding", "batchnorm-small-batch")),
    ("dead-units", "wavenet"),
    ("saturated", "rnn"),
]


@pytest.mark.parametrize(("name", "model"), PLANTED)
def test_a_planted_fault_is_the_first_that_it_names(names, name, model):
    steps = 240 if name in LATE else 60
    course = run(FAULTS[name].plant(setup_of(names, model, steps=steps)))
    findings = judge(course.evidence)
    assert findings and findings[0].fault == name, [f.fault for f in findings]
    assert 0.5 <= findings[0].confidence <= 1 and findings[0].evidence and findings[0].where
    assert [f.confidence for f in findings] == sorted((f.confidence for f in findings), reverse=True)


@pytest.mark.parametrize("model", SIZES)
def test_a_healthy_training_has_no_fault(names, model):
    assert judge(run(setup_of(names, model, steps=100)).evidence) == []


@pytest.mark.parametrize("model", ["mlp", "mlp-bn", "rnn"])
def test_being_observed_changes_nothing_but_rounding(names, model):
    """The observer's closer looks switch fused paths off, which rounds otherwise; nothing else may differ."""
    setup = setup_of(names, model, steps=60)
    plain = setup.begin()
    while plain.step < setup.recipe.steps:
        plain.advance()
    course = run(setup)
    from moreish.learning.evaluate import line_nats

    nats, _ = line_nats(plain.result(), setup.alphabet, setup.dev)
    assert course.dev_nats is not None and np.allclose(course.dev_nats, nats, rtol=2e-3, atol=2e-3)


def test_the_rules_read_the_evidence_and_never_what_was_planted(names):
    import inspect

    from moreish.learning.doctor import composition, evidence, listing, observer, rules

    for module in (rules, observer, evidence, composition, listing):
        source = inspect.getsource(module)
        assert "defect" not in source and "planted" not in source.split('"""', 2)[2], module.__name__
    assert "defects" not in {f.name for f in fields(Evidence)}


@pytest.mark.parametrize("name", [n for n, f in FAULTS.items() if f.plant is not None])
def test_each_fix_takes_out_what_was_planted(names, name):
    fault = FAULTS[name]
    model = fault.models[0]
    setup = setup_of(names, model, steps=60)
    planted = fault.plant(setup)
    assert planted != setup
    mended = fault.mend(planted)
    assert mended != planted, "the fix changes something"
    assert name not in mended.defects
    assert fault.flag or fault.code


@pytest.mark.parametrize("name", ["overconfident-output", "gradients-not-zeroed", "loss-reduction"])
def test_the_fix_repairs(names, name):
    found = diagnose(names, "mlp", plant=name, fix=True, seed=SEED, **SIZES["mlp"], **{**SGD, "steps": 60})
    assert found.findings[0].fault == name == found.fixed
    assert found.before is not None and found.after is not None and found.after.dev is not None
    assert name in found.before.findings and name not in found.after.findings
    if found.before.dev is not None:
        assert found.gain is not None and found.gain.value == pytest.approx(found.before.dev - found.after.dev)
        assert found.gain.low <= found.gain.value <= found.gain.high and found.gain.above


def test_flags_are_prescribed_with_their_values(names):
    setup = setup_of(names, steps=80)
    for name, starts in (
        ("learning-rate-too-high", "--lr "), ("batch-too-small", "--batch 32"), ("underfit-hidden", "--hidden 64"),
        ("saturated", "--initialization default"), ("gradients-not-zeroed", "optimizer.zero_grad()"),
    ):  # fmt: skip
        finding = Finding(name, "", "", None, 0.0, 0.5)
        (said,) = [each.finding.fix for each in diagnosis.prescribed([finding], FAULTS[name].plant(setup))]
        assert said.startswith(starts) and "{" not in said
        if name == "learning-rate-too-high":
            assert 0.01 < float(said.split()[1]) < FAULTS[name].plant(setup).recipe.lr


def test_a_lists_repeats_are_said_and_no_training_can_mend_them():
    lines = [f"{a}{b}a" for a in "bcdfghklmn" for b in "aeiouy"]
    assert diagnosis.duplicate_share(Corpus.of([*lines, *lines], split="lecture")) == pytest.approx(0.5)
    assert diagnosis.duplicate_share(Corpus.of(lines, split="lecture")) == 0
    found = judge(Evidence(lists=listed(Lines.of(lines), None, Corpus.of(lines).alphabet, 0.5)))
    assert [f.fault for f in found] == ["duplicates"]
    assert FAULTS["duplicates"].mend(setup := object()) is setup  # type: ignore[arg-type]


def test_leaks_and_strange_dev_are_found_in_the_lines_alone(names):
    train, dev = names.train, names.dev
    plain = listed(train, dev, names.alphabet)
    assert plain.leaking == 0 and plain.strange is not None and abs(plain.strange) < 0.15
    mixed = listed(train, Lines.of([*train[: len(dev) // 4], *dev[len(dev) // 4 :]]), names.alphabet)
    assert mixed.leaking == pytest.approx(0.25, abs=0.005)
    backwards = listed(train, Lines.of(line[::-1] for line in dev), names.alphabet)
    assert backwards.strange is not None and backwards.strange > 0.2
    short = listed(train[:50], dev[:5], names.alphabet)
    assert short.strange is None and short.reference is None, "too few lines: said, not shown as nothing"


def test_dispersion_is_one_for_random_batches_and_more_for_sorted_ones():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 20, (6400, 5), generator=draw)
    shuffled, ordered, again = Composing(), Composing(), Composing()
    in_order = rows[rows[:, 0].argsort()]
    for i in range(100):
        part = slice(64 * i, 64 * (i + 1))
        shuffled.met_rows(rows[part])
        ordered.met_rows(in_order[part])
        again.met_rows(rows[64 * (i % 10) : 64 * (i % 10) + 64])
    random, sorted_, repeated = shuffled.composition(), ordered.composition(), again.composition()
    assert random and sorted_ and repeated and random.dispersion and sorted_.dispersion
    assert random.dispersion == pytest.approx(1, abs=0.15) and random.repeated == 0
    assert sorted_.dispersion > 10 and repeated.repeated == pytest.approx(0.9)
    assert Composing().composition() is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "ngram"}, "fitted by counting"),
        ({"model": "one-layer"}, "Add --batch 32"),
        ({"plant": "saturatde"}, "Did you mean 'saturated'"),
        ({"plant": "duplicates"}, "a list's fault"),
        ({"plant": "batchnorm-mode"}, "cannot be planted in mlp. It can in: mlp-bn, tree"),
    ],
)
def test_what_it_refuses(names, asked, said):
    with pytest.raises(ConfigError, match=said):
        diagnose(names, **{"model": "mlp", **asked})


def test_a_list_too_short_is_refused_in_words():
    with pytest.raises(ConfigError, match="too few for a diagnosis"):
        diagnose(Corpus.of([f"{a}{b}" for a in "abc" for b in "abc"]), "mlp")


def test_a_short_list_is_diagnosed_on_its_folds():
    corpus = Corpus.of([f"{a}{b}{a}" for a in "bcdfghk" for b in "aeiouy"])
    assert corpus.kfold
    found = diagnose(corpus, "mlp", hidden=16, embedding=4, steps=40)
    assert found.steps == 40 and not math.isnan(sum(f.confidence for f in found.findings))


def test_every_fault_says_which_models_and_no_counting_model_is_among_them():
    assert len([f for f in FAULTS.values() if f.plant is not None and len(f.models) >= 3]) >= 14
    for name, fault in FAULTS.items():
        assert fault.name == name and set(fault.models) <= set(networks()) and fault.what
    assert {"saturated", "duplicates", "leaking-split"} <= FAULTS.keys()


def test_a_spoiled_training_goes_wrong_in_no_other_way(names):
    """Without defects a setup begins as any training does, to the bit."""
    setup = setup_of(names)
    ours, theirs = setup.begin(), begin(setup.recipe, setup.train, setup.alphabet)
    assert type(ours) is type(theirs)
    for (name, a), (_, b) in zip(ours.model.state_dict().items(), theirs.model.state_dict().items()):
        assert torch.equal(a, b), name
    assert first_of([], setup) is None
