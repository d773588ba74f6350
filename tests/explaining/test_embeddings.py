"""The learnt symbols as points: against torch and a covariance's own axes, for every model with rows for symbols."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from moreish.errors import MoreishError, UsageError
from moreish.explaining.embedding import measures, nearness
from moreish.explaining.embedding.measures import embeddings, principal
from moreish.explaining.embedding.rows import rows_at_start, rows_of
from moreish.explaining.embedding.words import concluded, measured_by, seldom, trust, what
from moreish.learning.recipe import Recipe, Trained
from moreish.models.catalog import MODELS
from moreish.models.symbol_classes import learn_classes
from moreish.text.corpus import Corpus

WITH_ROWS = ("one-layer", "mlp", "mlp-bn", "bow", "rnn", "gru", "lstm", "tree", "wavenet", "transformer", "mixture")
RANDOM = np.random.default_rng(5)


def untrained(name: str, corpus: Corpus, **settings) -> Trained:
    """A model as it begins, with its recipe."""
    seed = settings.pop("seed", 0)
    recipe = Recipe(name, settings, "minibatches", 1, 0.01, seed=seed)
    return Trained(MODELS[name](len(corpus.alphabet), seed, **settings), corpus.alphabet, corpus, recipe)


@pytest.fixture(scope="module")
def minerals() -> Corpus:
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def learnt(minerals) -> Trained:
    """An MLP whose rows are far from where they began."""
    trained = untrained("mlp", minerals, embedding=2, hidden=20, context=2)
    return with_rows(trained, RANDOM.normal(size=(len(minerals.alphabet), 2)))


def with_rows(trained: Trained, rows: np.ndarray) -> Trained:
    """The same with other rows for its symbols."""
    weight = torch.from_numpy(rows).float()
    trained.model.embedding.weight = torch.nn.Parameter(weight)
    return replace(trained, model=trained.model)


def test_every_model_of_the_catalog_has_rows_or_a_sentence(minerals):
    for name, entry in MODELS.items():
        if name in WITH_ROWS:
            found = embeddings(untrained(name, minerals))
            assert len(found.places) == len(minerals.alphabet) and found.model == name
            assert found.moved == pytest.approx(0, abs=1e-6), name
            assert {place.moved for place in found.places} == {0.0}
            continue
        model = entry(symbols=len(minerals.alphabet))
        with pytest.raises(UsageError, match=f"the model {name}, which has no embedding"):
            rows_of(model, name)
    assert MODELS.keys() > set(WITH_ROWS)


def test_rows_are_those_that_the_model_reads_by(minerals):
    for name in set(WITH_ROWS) - {"one-layer", "mixture"}:
        model = untrained(name, minerals).model
        assert np.array_equal(rows_of(model, name).weight, model.embedding.weight.detach().double().numpy())
    one = untrained("one-layer", minerals).model
    shifted = rows_of(one, "one-layer").weight
    with torch.no_grad():
        one.weight += torch.arange(len(one.weight))[:, None]  # a softmax takes no notice of a row's constant
    assert np.allclose(rows_of(one, "one-layer").weight, shifted, atol=1e-5)


def test_where_it_began_is_drawn_again_from_the_seed(minerals):
    trained = untrained("mlp", minerals, seed=7, embedding=3)
    assert np.array_equal(rows_at_start(trained), rows_of(trained.model, "mlp").weight)
    assert not np.array_equal(rows_at_start(untrained("mlp", minerals, seed=8, embedding=3)), rows_at_start(trained))
    assert rows_at_start(replace(trained, recipe=replace(trained.recipe, method="imported"))) is None


@pytest.mark.parametrize("count, width", [(30, 4), (5, 12), (3, 3), (200, 2)])
def test_axes_are_the_covariance_s_own(count, width):
    x = RANDOM.normal(size=(count, width)) * np.linspace(3, 0.5, width)
    axes, shares = principal(x)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    assert np.allclose(shares[: min(count - 1, width)], values[::-1][: min(count - 1, width)] / values.sum())
    for axis, own in zip(axes, vectors.T[::-1]):
        assert abs(axis @ own) == pytest.approx(1) and axis[np.abs(axis).argmax()] > 0
    again, _ = principal(-x)  # the same axes, whichever way the rows point
    assert np.allclose(again, axes)


def test_two_numbers_are_shown_exactly_and_more_by_their_widest_directions(learnt, minerals):
    found = embeddings(learnt)
    rows = rows_of(learnt.model, "mlp").weight
    assert found.method == "exact" and [(p.x, p.y) for p in found.places] == [tuple(row) for row in rows.tolist()]
    assert sum(found.shares) == pytest.approx(1)
    wide = embeddings(untrained("mlp", minerals, embedding=6))
    assert (
        wide.method == "pca"
        and wide.shares[0] >= wide.shares[1]
        and wide.start_share == pytest.approx(sum(wide.shares))
    )
    narrow = embeddings(untrained("mlp", minerals, embedding=1))
    assert narrow.method == "exact" and {p.y for p in narrow.places} == {0.0} and narrow.shares == [1.0]
    assert embeddings(learnt) == found


@pytest.mark.parametrize("by", ["distance", "cosine"])
def test_neighbours_are_torch_s(minerals, by):
    trained = untrained("mlp", minerals, embedding=7)
    rows = torch.from_numpy(rows_of(trained.model, "mlp").weight)
    apart = torch.cdist(rows, rows)
    cosine = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    order = (apart if by == "distance" else -cosine).fill_diagonal_(torch.inf).argsort(1)
    for place in embeddings(trained, by=by, neighbours=4).places:
        assert [near.id for near in place.neighbours] == order[place.id, :4].tolist()
        for near in place.neighbours:
            assert near.cosine == pytest.approx(float(cosine[place.id, near.id]))
            assert near.distance == pytest.approx(float((rows[place.id] - rows[near.id]).norm()))
            assert near.symbol == found_symbol(trained, near.id)


def found_symbol(trained: Trained, i: int) -> str:
    return "" if i == 0 else trained.alphabet.symbols[i - 1]


def test_counts_and_classes_are_the_list_s(learnt, minerals):
    found = embeddings(learnt)
    lines = list(minerals.train)
    counted = Counter("".join(lines))
    assert {p.symbol: p.times for p in found.places if p.what == "symbol"} == {
        symbol: counted[symbol] for symbol in minerals.alphabet.symbols
    }
    assert found.places[0].times == len(lines) and found.places[0].what == "boundary"
    stream = minerals.alphabet.encode_lines(minerals.train).astype(np.int64)
    classes = learn_classes(stream[:-1], stream[1:], len(minerals.alphabet), measures.CLASSES)
    together = {frozenset(group) for group in found.groups}
    for c in range(1, measures.CLASSES + 1):
        own = frozenset(s for i, s in enumerate(minerals.alphabet.symbols, 1) if classes[i] == c and counted[s])
        assert own in together
    often = [sum(counted[s] for s in group) for group in found.groups]
    assert often == sorted(often, reverse=True)


def test_a_grouping_is_more_than_chance_where_it_is_planted_and_only_there(minerals, monkeypatch):
    monkeypatch.setattr(nearness, "SHUFFLES", 200)
    trained = untrained("mlp", minerals, embedding=4)
    found = embeddings(trained)
    groups = np.array([place.group or 0 for place in found.places])
    planted = RANDOM.normal(size=(len(groups), 4)) * 0.2 + np.eye(4)[groups % 4] * 3
    close = embeddings(with_rows(trained, planted))
    assert (
        close.closeness < 0.5
        and close.as_close == pytest.approx(1 / 201)
        and close.by_chance == pytest.approx(1, abs=0.05)
    )
    assert "the network found these classes too" in " ".join(trust(close))
    many = [embeddings(with_rows(trained, RANDOM.normal(size=(len(groups), 4)))).as_close for _ in range(20)]
    assert sum(share <= 0.05 for share in many) <= 5  # more by chance in 1 of 3,000 lists of 20


def test_the_blank_has_a_place_of_its_own(minerals):
    found = embeddings(untrained("mlp", minerals, blank=True))
    assert [place.what for place in found.places] == ["boundary", *["symbol"] * len(minerals.alphabet.symbols), "blank"]
    assert found.places[-1].times is None and found.places[-1].neighbours and found.places[-1].symbol == ""


@pytest.mark.parametrize("kind", ["graphemes", "words", "bytes"])
def test_other_kinds_of_symbol(kind):
    lines = ["ába éb", "ab ba", "éa áb", "bé ab"] * 6
    corpus = Corpus.of([f"{line}{i % 7}" for i, line in enumerate(lines)], symbols=kind)
    found = embeddings(untrained("mlp", corpus, embedding=3))
    assert found.kind == kind and [p.symbol for p in found.places[1:]] == list(corpus.alphabet.symbols)
    assert what(found) and concluded(found) and measured_by(found)


def test_what_cannot_be_known_is_none_with_a_reason(minerals):
    few = Corpus.of(["ab", "ba", "aab", "bba", "abab"])
    found = embeddings(untrained("mlp", few, embedding=2))
    assert found.groups is None and found.closeness is None and "too few for 5 classes" in found.notes[0]
    trained = untrained("mlp", minerals, embedding=3)
    blind = embeddings(replace(trained, hashes=np.zeros(3, np.uint64)))
    assert {p.times for p in blind.places} == {None} and blind.groups is None and "only hashes" in blind.notes[0]
    flat = embeddings(with_rows(trained, np.ones((len(minerals.alphabet), 3))))
    assert flat.shares is None and "all rows are the same" in what(flat)
    assert np.isfinite([(p.x, p.y) for p in flat.places]).all()


def test_a_symbol_that_learning_never_met_is_no_neighbour(learnt):
    alphabet = replace(learnt.alphabet, symbols=(*learnt.alphabet.symbols[:-1], "☃"))
    train = learnt.corpus.train
    kept = train.take(np.array([i for i, line in enumerate(train) if learnt.alphabet.symbols[-1] not in line]))
    corpus = replace(learnt.corpus, train=kept, alphabet=alphabet)
    found = embeddings(replace(learnt, corpus=corpus, alphabet=alphabet))
    assert found.places[-1].symbol == "☃" and found.places[-1].times == 0 and not found.places[-1].neighbours
    assert "☃" not in {near.symbol for place in found.places for near in place.neighbours}
    assert any("never came while learning" in note for note in found.notes)
    assert seldom(found) is None or "fewer than" in str(seldom(found))


def test_many_symbols_are_cut_where_it_is_said(learnt, monkeypatch):
    monkeypatch.setattr(nearness, "MOST_COMPARED", 5)
    found = embeddings(learnt)
    compared = [place for place in found.places if place.neighbours]
    assert len(compared) == 5 and "5 symbols only" in found.notes[-1]
    assert min(p.times for p in compared) >= max(p.times for p in found.places if not p.neighbours)


def test_words_say_how_far_to_trust_the_picture(learnt):
    assert "exactly" in what(embeddings(learnt)) and "learnt, not drawn" in trust(embeddings(learnt))[0]
    barely = replace(embeddings(learnt), moved=0.1)
    assert "mostly where the rows were drawn" in trust(barely)[0] and "10 %" in trust(barely)[0]


def test_bad_input(learnt, types_unchecked):
    for wrong in ({"by": "angle"}, {"neighbours": -1}, {"neighbours": True}):
        with pytest.raises(UsageError, match="Use"):
            embeddings(learnt, **wrong)
    broken = with_rows(untrained("mlp", learnt.corpus, embedding=2), np.full((len(learnt.alphabet), 2), np.nan))
    with pytest.raises(MoreishError, match="no number"):
        embeddings(broken)
