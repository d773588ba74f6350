"""Dimensionality: contexts against plain Python sets, distances and neighbours against numpy, sentences that follow."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import product
from statistics import mean, median

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from moreish.explaining.dimensionality import dimensionality as page
from moreish.explaining.dimensionality import distances as distances_page
from moreish.explaining.dimensionality import neighbours as neighbours_page
from moreish.explaining.dimensionality.contexts import ADDED, counted, reachable
from moreish.explaining.dimensionality.dimensionality import Dimensionality, Told, explain_dimensionality, measured
from moreish.explaining.dimensionality.distances import concentration, effective_dimensions, scattered
from moreish.explaining.dimensionality.neighbours import PRIOR, nearest, neighbours
from moreish.explaining.dimensionality.words import concluded, explained, left_out, percent, short
from moreish.learning.batches import Batches
from moreish.models.mlp import MLP, MLPConfig
from moreish.randomness import stream
from moreish.shapes import BOUNDARY
from moreish.text.corpus import Corpus


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


def positions(corpus: Corpus, lines: list[str], length: int) -> list[tuple[tuple[int, ...], int]]:
    """Each position's last `length` symbols and the next, in plain Python."""
    out = []
    for line in lines:
        ids = [*corpus.alphabet.encode(line), BOUNDARY]
        before = (BOUNDARY,) * length
        for symbol in ids:
            out.append((before, int(symbol)))
            before = (*before, int(symbol))[1:]
    return out


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8])
def test_contexts_and_counts_are_those_of_plain_python_sets(corpus, length):
    found = counted(length, corpus.train, corpus.dev, corpus.alphabet)
    train, dev = (positions(corpus, part.texts(), length) for part in (corpus.train, corpus.dev))
    totals = Counter(context for context, _ in train)
    pairs = Counter(train)
    assert found.possible == len(corpus.alphabet) ** length
    assert found.seen == len(set(totals)) <= found.reachable <= found.possible
    assert found.mean_count == pytest.approx(mean(totals.values()))
    assert found.median_count == median(totals.values())
    assert found.once == pytest.approx(sum(n == 1 for n in totals.values()) / len(totals))
    assert found.dev_unseen == pytest.approx(sum(context not in totals for context, _ in dev) / len(dev))
    for part, loss in ((train, found.train), (dev, found.dev)):
        nats = [-math.log((pairs[each] + ADDED) / (totals[each[0]] + ADDED * len(corpus.alphabet))) for each in part]
        assert loss == pytest.approx(mean(nats), rel=1e-9)


@pytest.mark.parametrize("symbols, length", [(1, 3), (2, 1), (3, 3), (4, 2), (3, 5)])
def test_reachable_contexts_are_those_with_boundaries_only_at_the_left(symbols, length):
    every = product(range(symbols), repeat=length)
    fine = [context for context in every if list(context) == sorted(context, key=lambda symbol: symbol != BOUNDARY)]
    assert reachable(symbols, length) == len(fine)


@pytest.mark.parametrize("dimensions", [1, 2, 7, 40])
def test_distances_are_those_of_numpy_one_by_one_and_a_query_is_not_its_own_neighbour(dimensions):
    draw = stream(dimensions, "points")
    points = torch.randn(30, dimensions, generator=draw)
    queries = torch.cat([torch.randn(9, dimensions, generator=draw), points[:4]])
    contrasts, ratios, shares = [], [], []
    for query in queries.numpy().astype(np.float64):
        far = np.array([np.linalg.norm(point - query) for point in points.numpy().astype(np.float64)])
        far = far[far > 0]
        contrasts.append((far.max() - far.min()) / far.min())
        ratios.append(far.min() / far.max())
        shares.append((far <= 2 * far.min()).mean())
    found = concentration(points, queries)
    assert found.contrast == pytest.approx(np.median(contrasts))
    assert found.ratio == pytest.approx(np.median(ratios))
    assert found.within_twice == pytest.approx(np.mean(shares))
    assert (found.dimensions, found.points) == (dimensions, 30)


@pytest.mark.parametrize("kind", distances_page.KINDS)
def test_random_distances_concentrate_as_theory_says(kind):
    """Beyer et al. 1999, theorem 1; and in many dimensions the spread of distances falls as 1 / sqrt(dimensions)."""
    found = [scattered(kind, d, 0, 200, 50) for d in (1, 4, 16, 64, 256, 1024)]
    contrasts = [each.contrast for each in found]
    assert contrasts == sorted(contrasts, reverse=True)
    assert found[-1].within_twice == 1.0 and found[0].within_twice < 0.1
    for one, four in zip(found[-3:], found[-2:]):
        assert one.contrast / four.contrast == pytest.approx(2, rel=0.25)


def test_effective_dimensions_are_one_on_a_line_and_all_where_points_spread_alike():
    along = torch.linspace(-1, 1, 50)[:, None] * torch.tensor([[3.0, -1.0, 2.0]])
    assert effective_dimensions(along) == pytest.approx(1)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=4)))
    assert effective_dimensions(corners) == pytest.approx(4)
    assert effective_dimensions(torch.ones(5, 3)) == 0.0


@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_nearest_are_numpys_with_all_who_are_as_far(k):
    draw = stream(k, "near")
    points = torch.randn(40, 5, generator=draw)
    points[10:20] = points[:10]  # so that there are ties
    queries = torch.randn(300, 5, generator=draw)
    far = np.linalg.norm(points.numpy()[None].astype(np.float64) - queries.numpy()[:, None].astype(np.float64), axis=2)
    last = np.sort(far, 1)[:, k - 1 : k]
    got = nearest(points, queries, k)
    assert np.array_equal(got.numpy(), far <= last + 1e-7)
    assert (got.sum(1) >= k).all()


def test_neighbours_vote_as_counted_by_hand(corpus, monkeypatch):
    monkeypatch.setattr(neighbours_page, "REFERENCES", 400)
    monkeypatch.setattr(neighbours_page, "ASKED", 60)
    symbols = len(corpus.alphabet)
    model = MLP(MLPConfig(symbols, context=2, embedding=3, hidden=5), seed=1).eval()
    train, dev = (Batches(part, corpus.alphabet, 1, 0) for part in (corpus.train, corpus.dev))
    found = neighbours(model, train, dev, 0)
    draw = stream(0, "dimensionality/neighbours/2")
    references, queries = (
        each.windows_of(torch.randperm(each.symbols, generator=draw)[:most].numpy(), 2)
        for each, most in ((train, 400), (dev, 60))
    )
    table = model.embedding.weight.detach().double().numpy()
    at = table[references.windows.numpy()].reshape(400, -1)
    next_, windows = references.targets.numpy(), references.windows.numpy()
    nats, same_next, same_window, counts = [], [], [], []
    for window, target in zip(queries.windows.numpy(), queries.targets.numpy()):
        far = np.linalg.norm(at - table[window].reshape(-1), axis=1)
        near = far <= np.sort(far)[found.nearest - 1] + 1e-6
        votes, alike = (next_[near] == target).sum(), (windows == window).all(1)
        chance = (next_ == target).mean()
        nats.append(-math.log(max((votes + PRIOR * chance) / (near.sum() + PRIOR), 1e-12)))
        same_next.append(votes / near.sum())
        same_window.append((alike & near).sum() / near.sum())
        counts.append(-math.log(((alike & (next_ == target)).sum() + ADDED) / (alike.sum() + ADDED * symbols)))
    assert found.knn == pytest.approx(np.mean(nats), rel=1e-6)
    assert found.same_next == pytest.approx(np.mean(same_next), rel=1e-6)
    assert found.same_window == pytest.approx(np.mean(same_window), rel=1e-6)
    assert found.counted == pytest.approx(np.mean(counts), rel=1e-6)
    assert found.chance == pytest.approx(np.mean([(next_ == t).mean() for t in queries.targets.numpy()]), rel=1e-5)


def hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(page, "STEPS", 30)
    patch.setattr(page, "NETWORKS", (1, 3))
    patch.setattr(page, "LENGTHS", (1, 2, 3))
    patch.setattr(page, "DIMENSIONS", (1, 10, 100))
    patch.setattr(neighbours_page, "REFERENCES", 1000)
    patch.setattr(neighbours_page, "ASKED", 100)


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        *told, last = measured(corpus)
        assert all(isinstance(each, Told) for each in told) and told[-1].done == told[-1].total
        assert isinstance(last, Dimensionality)
        assert explain_dimensionality(corpus) == last  # the same list and seed, the same figures
        return last


def test_what_is_found_is_plain_json_and_complete(found):
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    assert found.reasons == {} and left_out(found) == []
    assert [each.length for each in found.contexts] == [1, 2, 3]
    assert {(each["kind"], each["dimensions"]) for each in found.to_dict()["random"]} == {
        (kind, d) for kind in ("uniform", "normal") for d in (1, 10, 100)
    }
    for network in found.networks:
        assert network.learnt.embeddings.dimensions == found.embedding * network.length
        assert network.learnt.embeddings.points == network.learnt.random.points
        assert network.dev is not None and network.neighbours.queries == 100


def test_the_work_is_what_torchs_counter_counts(found):
    """Two operations for a multiplication and an addition."""
    for network in found.networks:
        config = MLPConfig(found.symbols, context=network.length, embedding=found.embedding, hidden=found.hidden)
        model = MLP(config).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.score(torch.zeros(1, network.length, dtype=torch.long))
        assert counter.get_total_flops() == 2 * network.work.network_multiply_adds
        assert network.work.weights == sum(p.numel() for p in model.parameters())
        assert network.work.table_cells == found.symbols ** (network.length + 1)


@pytest.mark.parametrize("lines", [["a"], ["ab", "ba"], ["anna", "eva", "otto"] * 30])
def test_where_nothing_is_held_out_figures_on_dev_are_none_and_a_reason_is_given(lines, monkeypatch):
    hurry(monkeypatch)
    found = explain_dimensionality(Corpus.of(lines))
    assert f"{len(set(lines))} different lines" in found.reasons["dev"] or lines[0] == "anna"
    for each in found.contexts:
        assert (each.dev_unseen, each.dev, each.backoff_dev) == (None, None, None) and each.train > 0
    for network in found.networks:
        assert (network.dev, network.learnt, network.neighbours) == (None, None, None)
    assert left_out(found)[0].startswith("Nothing on dev, and no neighbours: the list has")
    assert all("None" not in line for line in [*concluded(found), *explained(found).values()])


@pytest.mark.parametrize(
    "nats, words", [(2.0, "better than counting"), (2.5, "like counting"), (3.0, "worse than counting")]
)
def test_what_is_said_of_neighbours_follows_from_the_losses(found, nats, words):
    last = found.networks[-1]
    near = replace(last.neighbours, knn=nats, counted=2.5, network=1.9)
    (line,) = [s for s in concluded(replace(found, networks=[replace(last, neighbours=near)])) if "Neighbours" in s]
    assert words in line and f"{nats:.3f}" in line and f"{nats - 1.9:.3f} short of the network" in line


def test_what_is_said_of_overfitting_follows_from_the_losses(found):
    for devs, said in (([2.0, 2.5, 2.2], True), ([2.5, 2.2, 2.0], False)):
        contexts = [replace(each, dev=dev) for each, dev in zip(found.contexts, devs)]
        (line,) = [s for s in concluded(replace(found, contexts=contexts)) if s.startswith("Overfitting")]
        assert f"best at length {contexts[devs.index(2.0)].length}" in line and ("is chance" in line) == said


@pytest.mark.parametrize(
    "number, text", [(7, "7"), (531441, "531,441"), (14348907, "1.4e7"), (10**10, "1.0e10"), (27**64, "4.0e91")]
)
def test_large_counts_are_short(number, text):
    assert short(number) == text


@pytest.mark.parametrize("share, text", [(0.0, "0.0 %"), (0.216, "21.6 %"), (0.0003, "0.03 %"), (1.8e-7, "2e-05 %")])
def test_small_shares_are_not_shown_as_zero(share, text):
    assert percent(share) == text
