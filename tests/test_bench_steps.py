"""The steps that bench/ times are one step: the lecture's two, ours, and torch's own."""

from __future__ import annotations

import os
import shutil
from functools import partial

import pytest
import torch

from bench_modules import bench
from moreish import Corpus, evaluate, make_recipe
from moreish.explaining.grains.lecture_net import PARAMETERS

steps, campaign, lectures = map(bench, ("backprop_steps", "campaign", "lectures"))

has_compiler = any(map(shutil.which, ("cc", "gcc", "clang")))


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    windows = torch.randint(steps.SYMBOLS, (count, steps.BATCH, steps.CONTEXT), generator=generator)
    return list(zip(windows, torch.randint(steps.SYMBOLS, (count, steps.BATCH), generator=generator)))


WAYS = {
    "the lecture's by hand": steps.lecture_by_hand,
    "ours, plain": partial(steps.ours, "plain"),
    **({"ours, compiled": partial(steps.ours, "compiled")} if has_compiler else {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_take_the_lectures_step(way):
    taken = []
    for make in (steps.lecture_autograd, WAYS[way]):
        step = make(steps.parameters())
        taken.append([step(windows, targets) for windows, targets in batches(30)])
    assert taken[1] == pytest.approx(taken[0], abs=2e-5)
    assert taken[0][0] != taken[0][1]


def test_the_references_change_the_parameters_they_are_given():
    mine, theirs = steps.parameters(), steps.parameters()
    one, other = steps.lecture_autograd(mine), steps.lecture_by_hand(theirs)
    for windows, targets in batches(10):
        one(windows, targets), other(windows, targets)
    for name in PARAMETERS:
        assert (mine[name].detach() - theirs[name]).abs().max() < 1e-5
    assert (theirs["W1"] - steps.parameters()["W1"]).abs().max() > 1e-3


def test_the_lean_step_is_the_lectures_but_for_n():
    lean, lecture = steps.lean_autograd(steps.parameters()), steps.lecture_autograd(steps.parameters())
    for windows, targets in batches(20):
        assert lean(windows, targets) == pytest.approx(lecture(windows, targets), abs=0.1)


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_torchs_cache_is_left_where_it_was(before, monkeypatch):
    monkeypatch.delenv(steps.CACHE, raising=False)
    if before:
        monkeypatch.setenv(steps.CACHE, before)
    during = []
    monkeypatch.setattr(steps, "_by_torch", lambda lists: during.append(os.environ[steps.CACHE]))
    steps.by_torch({})
    assert os.environ.get(steps.CACHE) == before and during[0] != before


def test_part_4_is_learnt_by_the_step(monkeypatch):
    corpus = Corpus.of(Corpus.read("names").lines[:400], name="few names")
    monkeypatch.setattr(campaign, "corpus_of", lambda split: corpus)
    row = lectures.LECTURES["part4-by-hand"]
    job = campaign.Job(row.id, make_recipe(corpus, row.model, seed=0, **{**row.settings, "steps": 1500}), None, True)
    assert job.description["learnt_by"] == "MLPStep"
    assert "learnt_by" not in campaign.Job(row.id, job.recipe).description
    said: list[str] = []
    trained = campaign._learn_by_hand(corpus, job.recipe, said.append)
    assert said[0].startswith("the step is ")
    assert evaluate(trained, "train").nats_per_symbol < 2.5  # 3.3 at the start; the list is small
