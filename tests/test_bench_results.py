"""What bench/ learns and writes down: by which recipe, once; its ensemble, and what could say something untrue."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench_modules import bench
from moreish import MODELS, Corpus, Recipe, evaluate, fit, make_recipe
from moreish.layers import hidden_matrices
from moreish.learning.evaluate import line_nats
from moreish.learning.recipe import learning_keys
from moreish.models.initialization import initialize
from moreish.text.lines import Lines

campaign, ensemble, learning, lecture_loops = map(bench, ("campaign", "ensemble", "learning", "lecture_loops"))
lectures, quality, quality_rows, results = map(bench, ("lectures", "quality", "quality_rows", "results"))


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("names")


OTHER_WORDS = {
    "optimizer": "sgd", "schedule": "linear", "batch_of": "windows", "precision": "bfloat16", "use": "last",
    "split": "lecture", "initialization": "kaiming",
}  # fmt: skip


def _other(name: str, value: object) -> object:
    """Another value for a setting of learning, and one that is allowed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return OTHER_WORDS[name]
    assert isinstance(value, (int, float))
    return value + 1 if isinstance(value, int) else 0.5 * value + 0.1


@pytest.mark.parametrize("name", [*(name for name in learning_keys() if name not in results.UNSAID), "seed", "split"])
def test_another_recipe_is_learnt_again(name, corpus):
    recipe = make_recipe(corpus, "mlp", hidden=8, steps=3, average=0.9)
    changed = replace(recipe, **{name: _other(name, getattr(recipe, name))})
    _are_different(results.describe(recipe, corpus), results.describe(changed, corpus))


def test_another_model_list_or_start_is_learnt_again(corpus):
    recipe = make_recipe(corpus, "mlp", hidden=8, steps=3)
    asked = results.describe(recipe, corpus)
    _are_different(asked, results.describe(replace(recipe, settings={"hidden": 9}), corpus))
    _are_different(asked, results.describe(replace(recipe, model="mlp-bn"), corpus))
    _are_different(asked, results.describe(recipe, replace(corpus, fingerprint="another")))
    _are_different(asked, results.describe(recipe, corpus, {"hidden": 1.0}))


def _are_different(one: dict[str, object], other: dict[str, object]) -> None:
    assert results.same(one, one) and results.same(other, other)
    assert not results.same(one, other) and not results.same(other, one)


def test_why_a_model_was_chosen_changes_nothing(corpus):
    recipe = make_recipe(corpus, "mlp", steps=3)
    assert results.same(results.describe(recipe, corpus), results.describe(replace(recipe, why="so"), corpus))


def test_a_setting_that_is_new_must_be_at_its_default(corpus):
    recipe = make_recipe(corpus, "mlp", steps=3, label_smoothing=0.0, blank=False)
    asked = results.describe(recipe, corpus)
    older = {key: value for key, value in asked.items() if key != "label_smoothing"}
    older["settings"] = {key: value for key, value in asked["settings"].items() if key != "blank"}
    assert results.same(older, asked)
    mixed = {"mix": "so", "members": {"mlp": older}}
    assert results.same(mixed, {"mix": "so", "members": {"mlp": asked}})
    assert not results.same(mixed, {"mix": "so", "members": {"mlp": {**asked, "lr": 9.0}}})
    for changed in ({"label_smoothing": 0.1}, {"settings": {**asked["settings"], "blank": True}}):
        assert not results.same(older, {**asked, **changed})
    assert not results.same({**asked, "what is gone": 1}, asked)
    assert not results.same(older, {key: value for key, value in asked.items() if key != "lr"})


def test_results_are_in_order():
    found = results.read()
    known = {*quality_rows.BY_ID, *lectures.LECTURES}
    for i, result in enumerate(found):
        assert result["row"] in known and result["part"] in ("dev", "test"), result["row"]
        assert math.isfinite(result["nats"]) and result["on"] and isinstance(result["recipe"], dict)
        again = [other for other in found[:i] if other["part"] == result["part"]]
        assert not any(results.same(other["recipe"], result["recipe"]) for other in again), f"{result['row']} twice"


def test_a_job_is_learnt_once_and_kept(corpus, tmp_path, monkeypatch):
    corpus = Corpus.of(corpus.train[:600], name="few names")
    for module in (results, campaign, ensemble):
        monkeypatch.setattr(module, "OUT", tmp_path / "out")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(campaign, "corpus_of", lambda split: corpus)
    learnt, learn = [], campaign.learn
    monkeypatch.setattr(campaign, "learn", lambda job, say: learnt.append(job.row) or learn(job, say))
    settings: dict[str, Any] = {"steps": 4, "context": 2, "hidden": 8, "layers": 1}
    jobs = [campaign.Job(name, make_recipe(corpus, name, **settings)) for name in ("mlp", "mlp-bn")]
    said: list[str] = []
    first = [campaign.run(job, said.append) for job in jobs]
    assert [campaign.run(job, said.append) for job in jobs] == first and learnt == ["mlp", "mlp-bn"]
    assert first[0]["nats"] == evaluate(campaign.kept(jobs[0], said.append)).nats_per_symbol
    looked = [campaign.run_on_test(jobs[0], said.append) for _ in range(2)]
    assert looked[0] == looked[1] and looked[0]["nats"] != first[0]["nats"]
    mixed = ensemble.mixed("ensemble", jobs, "dev", said.append)
    assert mixed == ensemble.mixed("ensemble", jobs, "dev", said.append)
    assert mixed["nats"] < min(one["nats"] for one in first) + 0.01 and len(mixed["weights"]) == 2
    assert learnt == ["mlp", "mlp-bn"] and len(results.read()) == 4
    changed = replace(jobs[0], recipe=replace(jobs[0].recipe, lr=0.5))
    assert campaign.run(changed, said.append)["nats"] != first[0]["nats"] and learnt[2:] == ["mlp"]
    with campaign.at_work(jobs[0].place), pytest.raises(campaign.Busy), campaign.at_work(jobs[0].place):
        pass


def test_mixing_is_a_distribution_and_no_worse_than_its_members(corpus):
    members = [fit(corpus, "bigram"), fit(corpus, "ngram", order=3), fit(corpus, "unigram")]
    said = ensemble.Said(members, corpus.dev)
    for i, member in enumerate(members):
        alone = torch.eye(3, dtype=torch.float64)[i]
        nats, sizes = line_nats(member.model, member.alphabet, corpus.dev)
        np.testing.assert_allclose(said.line_nats(alone), nats, rtol=1e-4)
        assert abs(said.member_nats()[i] - nats.sum() / sizes.sum()) < 1e-5
    half = ensemble.halves(corpus.dev)
    weights = said.fit(half)
    mixed = ensemble._mix(said.log_probs.double(), weights)
    torch.testing.assert_close(mixed.exp().sum(1), torch.ones(len(mixed), dtype=torch.float64))
    best = min(said.line_nats(alone)[half].sum() for alone in torch.eye(3, dtype=torch.float64))
    assert said.line_nats(weights)[half].sum() < best
    steps = [said.line_nats(weights + step)[half].sum() for step in 0.02 * torch.eye(3, dtype=torch.float64)]
    assert said.line_nats(weights)[half].sum() < min(steps), "the weights are not the best ones"


def test_lines_that_stand_twice_fall_into_one_half():
    lines = Lines.of([f"line{i % 50}" for i in range(200)])
    half = ensemble.halves(lines)
    assert 20 < half.sum() < 180
    assert all(half[i] == half[i % 50] for i in range(200))


@pytest.mark.parametrize("kind", learning.SETTINGS)
def test_multiplications_are_those_of_the_textbook(kind):
    weights = {
        "mlp": 16 * 64 * 64 + 64 * 27,
        "gru": 3 * 64 * (64 + 64) + 64 * 27,
        "transformer": 4 * 12 * 64 * 64 + 64 * 27,
    }
    in_sight = (1 + 2 + 3) / 3 if kind == "transformer" else 0  # one line of three symbols, its end counted
    model = MODELS[kind](symbols=27, **learning.SETTINGS[kind])
    assert learning.flops_per_symbol(model, [3]) == 6 * weights[kind] + 12 * 4 * 64 * in_sight


def test_given_lines_are_the_lines_that_are_learnt(corpus):
    numbers = torch.tensor([[5, 2, 2], [0, 7, 1]])
    training = learning.ours("mlp", corpus, numbers)
    for step, rows_ in enumerate(numbers.tolist()):
        batch = training.batch(step)
        ids = np.concatenate([[*corpus.alphabet.encode(corpus.train[row]), 0] for row in rows_])
        assert sorted(batch.targets.tolist()) == sorted(ids.tolist())
    before = training.model.output.weight.clone()
    training.advance()
    assert training.step == 1 and not torch.equal(before, training.model.output.weight)


@pytest.mark.parametrize("model", ["mlp", "mlp-bn", "tree"])
def test_weights_begin_as_in_a_lecture(model):
    network: Any = MODELS[model](symbols=27, context=8, embedding=24, hidden=300)
    campaign.begin_as(network, {"hidden": 5 / 3, "hidden_bias": 0.01, "output": 0.1, "output_bias": 0.0}, seed=3)
    hidden = [network.get_parameter(name) for name in hidden_matrices(network)]
    assert len(hidden) == {"mlp": 1, "mlp-bn": 1, "tree": 3}[model]
    for weight in hidden:
        assert weight.std().item() == pytest.approx(5 / 3 / math.sqrt(weight.shape[1]), rel=0.03)
    assert network.output.weight.std().item() == pytest.approx(0.1 / math.sqrt(300), rel=0.03)
    assert not network.output.bias.any()
    if model == "mlp":
        assert network.hidden[0].bias.std().item() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("name", lectures.NAMED)
def test_a_named_initialization_draws_a_rows_weights_to_the_bit(name):
    row = lectures.LECTURES[name]
    sizes = {key: value for key, value in row.settings.items() if key not in learning_keys()}
    theirs, ours = (MODELS[row.model](symbols=27, seed=lectures.SEED, **sizes) for _ in range(2))
    fresh = {key: value.clone() for key, value in ours.state_dict().items()}
    campaign.begin_as(theirs, row.start, lectures.SEED)
    initialize(ours, lectures.NAMED[name], lectures.SEED)
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[key]), key
    assert not torch.equal(fresh["output.weight"], ours.state_dict()["output.weight"])


def test_a_lectures_row_holds_by_dev_and_train():
    row = lectures.LECTURES["part3-tanh"]  # 2.1027 on dev, 2.0356 on train
    assert lectures.holds(row, {"nats": 2.11, "train_nats": 2.03})
    assert not lectures.holds(row, {"nats": 2.11, "train_nats": 2.05})
    assert not lectures.holds(row, {"nats": 2.12, "train_nats": 2.03})


@pytest.mark.parametrize("name", sorted(set(lectures.NAMED) - {"part2-mlp"}))  # of which docs/results.md tells
def test_a_mended_start_leads_to_what_the_lecture_published(name):
    found = [result for result in results.read() if result["row"] == name and result["part"] == "dev"]
    assert found and lectures.holds(lectures.LECTURES[name], found[-1])


@pytest.mark.parametrize("loop", ["tree_loop", "mlp_loop"])
def test_the_lectures_loops_learn(loop, capsys):
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    corpus = Corpus.of([alphabet[i % 26] * (1 + i % 3) + alphabet for i in range(300)], split="lecture")
    losses: list[float] = []
    true_loss = lecture_loops.F.cross_entropy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lecture_loops.F, "cross_entropy", lambda *a: losses.append(true_loss(*a)) or losses[-1])
        getattr(lecture_loops, loop)(corpus)(150)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert len(losses) == 150


def test_without_the_list_the_newest_results_are_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("NAMES", str(tmp_path / "nowhere.txt"))
    recipe = Recipe("gru", seed=1, split="unique").to_dict()
    listed = [{"row": "gru", "part": "dev", "nats": nats, "recipe": recipe} for nats in (1.97, 1.96)]
    found = quality.stored(listed, quality_rows.BY_ID["gru"], "unique", 1, "dev")
    assert found is listed[1]
    assert quality.stored(listed, quality_rows.BY_ID["gru"], "lecture", 1, "dev") is None
