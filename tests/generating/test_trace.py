"""Why a line scores as it does: every figure against a plain count, a direct sum or the model asked again."""

from __future__ import annotations

import json
import math
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moreish.errors import AlphabetError, MoreishError, UsageError
from moreish.generating.hidden import NEAREST, hidden_of, hidden_states, output_weights
from moreish.generating.rungs import count_rungs, rung_nats
from moreish.generating.trace import LONGEST, entropy_bits, log_distributions, why
from moreish.learning.evaluate import line_nats
from moreish.learning.fit import fit
from moreish.learning.recipe import Recipe, Trained
from moreish.learning.score import score
from moreish.models.catalog import MODELS
from moreish.models.model import WindowModel
from moreish.text.corpus import Corpus
from moreish.text.lines import Lines
from quick import NETWORKS, checked_before, quick

LINES = ["anna", "annabel", "isabel", "anabel", "hannah", "mabel", "abel", "nan", "bella", "ann", "anna"]
CORPUS = Corpus.of(LINES, split="none")
TEXTS = ["annabel", "", "hhh"]
WITH_STATES = [name for name in NETWORKS if name not in ("one-layer", "mixture")]


@pytest.fixture(scope="module")
def learnt() -> dict[str, Trained]:
    return {name: quick(CORPUS, name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_the_symbols_sum_to_the_score_to_the_bit(name, learnt):
    why(learnt[name], "a")
    with checked_before():
        _check_sums(learnt[name])


def _check_sums(trained: Trained) -> None:
    for text in TEXTS:
        found, (said,) = why(trained, text), score(trained, text)
        assert found.nats == said.nats == math.fsum(each.nats for each in found.symbols)
        assert [(each.symbol, each.nats) for each in found.symbols] == said.symbols
        assert line_nats(trained.model, CORPUS.alphabet, Lines.of([text]))[0] == pytest.approx([found.nats])
        assert found.rungs[-1].name == "run" and found.rungs[-1].nats == found.nats
        for each in found.symbols:
            assert each.rungs["run"] == each.probability == math.exp(-each.nats)


@pytest.mark.parametrize("name", MODELS)
def test_beliefs_are_those_of_the_distribution(name, learnt):
    trained = learnt[name]
    names = ["", *CORPUS.alphabet.symbols]
    read = torch.tensor([[0, *CORPUS.alphabet.encode("annab")]])
    with torch.no_grad():
        rows = trained.model.eval()(read, trained.model.begin(1))[0][0].double().softmax(-1).tolist()
    for row, each in zip(rows, why(trained, "annab").symbols, strict=True):
        assert sum(row) == pytest.approx(1)
        assert each.entropy_bits == pytest.approx(-sum(p * math.log2(p) for p in row if p), abs=1e-9)
        own = row[names.index(each.symbol)]
        assert each.probability == pytest.approx(own, rel=1e-5)
        assert each.rank == 1 + sum(p > own for p in row)
        others = sorted((p for i, p in enumerate(row) if names[i] != each.symbol), reverse=True)[:3]
        assert [other.probability for other in each.runners_up] == pytest.approx(others)
        assert all(row[names.index(other.symbol)] == pytest.approx(other.probability) for other in each.runners_up)
        assert each.symbol not in {other.symbol for other in each.runners_up}


def test_the_entropy_of_even_and_of_certain_rows():
    rows = torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [1, 0, 0, 0], [0.5, 0.25, 0.125, 0.125]]).double().log()
    assert entropy_bits(rows).tolist() == pytest.approx([2, 1, 0, 1.75])


def test_every_rung_is_a_distribution_and_is_the_catalogs_model(learnt):
    trained = learnt["gru"]
    rungs = count_rungs(trained)
    assert list(rungs) == ["uniform", "unigram", "bigram", "3-gram", "4-gram", "5-gram"]
    ids = CORPUS.alphabet.encode("lebanna")
    for name, (model, rung) in rungs.items():
        log_probs = torch.cat(list(log_distributions(rung, ids)))
        assert log_probs.exp().sum(-1).tolist() == pytest.approx([1] * (len(ids) + 1))
        nats = rung_nats(rung, ids)
        assert [-float(row[i]) for row, i in zip(log_probs, [*ids, 0])] == pytest.approx(nats)
        asked: dict[str, Any] = {"order": int(name[0])} if model == "ngram" else {}
        (alone,) = score(fit(CORPUS, model, **asked), "lebanna")  # counted by itself, at its own order
        assert nats == pytest.approx([each for _, each in alone.symbols])
    assert count_rungs(trained) is rungs


@pytest.mark.parametrize(
    "model, settings, missing",
    [
        ("ngram", {}, {"5-gram"}), ("ngram", {"order": 3}, {"3-gram"}), ("bigram", {}, {"bigram"}),
        ("uniform", {}, {"uniform"}), ("ngram", {"smoothing": "witten-bell"}, set()), ("ngram", {"order": 6}, set()),
        ("bigram", {"smoothing": "none"}, set()), ("one-layer", {"closed_form": True}, set()),
    ],
)  # fmt: skip
def test_the_runs_own_model_stands_once(model, settings, missing):
    names = [rung.name for rung in why(fit(CORPUS, model, **settings), "abe").rungs]
    every = ["uniform", "unigram", "bigram", "3-gram", "4-gram", "5-gram"]
    assert names == [*(name for name in every if name not in missing), "run"]


@pytest.mark.parametrize("symbols", ["characters", "graphemes", "words", "bytes"])
def test_support_is_what_a_plain_search_finds(symbols):
    lines = ["a b", "a b c", "éva a", "b a b", "c", "a b", "va b"]
    corpus = Corpus.of(lines, split="none", symbols=symbols)
    alphabet, trained = corpus.alphabet, fit(corpus, "bigram")
    streams = [[0, *alphabet.encode(line), 0] for line in lines]
    for text in ("a b", "b a b c", "c c", "éva", "a b a b"):
        ids = [0, *alphabet.encode(text), 0]
        for t, each in enumerate(why(trained, text).symbols, start=1):
            context, at, hits = [], [], []
            for length in range(t, -1, -1):
                context = ids[t - length : t]
                at = [(i, j) for i, line in enumerate(streams) for j in range(1, len(line))
                      if j >= length and line[j - length : j] == context]  # fmt: skip
                hits = [(i, j) for i, j in at if streams[i][j] == ids[t]]
                if hits:
                    break
            support = each.support
            assert support is not None
            assert (support.seen, support.followed) == (len(at), len(hits))
            start = bool(context and context[0] == 0)
            assert (support.context, support.from_start) == (alphabet.decode(context[start:]), start)
            firsts = {lines[i]: j - 1 for i, j in reversed(hits)}
            assert all(firsts[one.line] == one.position for one in support.lines)
            assert len(support.lines) == min(3, len(firsts)) == len({one.line for one in support.lines})


def test_a_symbol_that_no_training_line_has_is_supported_by_none():
    trained = fit(Corpus.of([f"a{'b' * i}" for i in range(1, 300)]), "unigram")
    with_q = Trained(trained.model, trained.alphabet, Corpus.of(["b"], split="none"), trained.recipe)
    support = why(with_q, "a").symbols[0].support
    assert support is not None
    assert (support.context, support.followed, support.seen, support.lines) == ("", 0, 2, [])


@pytest.mark.parametrize("name", WITH_STATES)
def test_states_are_what_the_logits_are_a_linear_map_of(name, learnt):
    model = learnt[name].model.eval()
    lines = [np.array([0, *CORPUS.alphabet.encode(line)]) for line in ("annabel", "nan", "a")]
    states = hidden_states(model, lines)
    assert states is not None
    (weight,) = output_weights(model)
    bias = getattr(getattr(model, "output", None), "bias", None)
    for line, state in zip(lines, states):
        with torch.no_grad():
            logits = model(torch.from_numpy(line)[None], model.begin(1))[0][0]
            again = state @ weight.T + (0 if bias is None else bias)
        assert torch.allclose(again, logits, atol=1e-5)


@pytest.mark.parametrize("name, settings", [("mlp", {"direct": True}), ("transformer", {"tie": True})])
def test_states_of_layers_that_share_and_of_layers_beside_one_another(name, settings):
    model = quick(CORPUS, name, **settings).model.eval()
    line = np.array([0, *CORPUS.alphabet.encode("isabel")])
    (state,) = hidden_states(model, [line]) or []
    weight = torch.cat(output_weights(model), 1)
    with torch.no_grad():
        logits = model(torch.from_numpy(line)[None], model.begin(1))[0][0]
        assert torch.allclose(state @ weight.T - logits, (state @ weight.T - logits)[:1], atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "mlp", "lstm"])
def test_the_nearest_are_those_of_all_pairs(name, learnt):
    trained = learnt[name]
    reach = trained.model.context if isinstance(trained.model, WindowModel) else 99
    alphabet = CORPUS.alphabet
    seen: dict[str, list[str]] = {}
    for line in dict.fromkeys(LINES):
        for read in accumulate([".", *line], lambda a, b: a + b):
            seen.setdefault(read[-reach:], []).append(f"{line}."[len(read) - 1])

    def directions(reads: list[str]) -> list[torch.Tensor]:
        states = hidden_states(trained.model, [np.array([0, *alphabet.encode(read.lstrip("."))]) for read in reads])
        assert states is not None
        return [nn.functional.normalize(state[-1], dim=0) for state in states]

    every = dict(zip(seen, directions(list(seen))))
    for text in ("annabel", "lelle"):
        own = directions([f".{text[:t]}" for t in range(len(text) + 1)])
        for t, each in enumerate(why(trained, text).symbols):
            read = f".{text[:t]}"
            cosines = {c: float(there @ own[t]) for c, there in every.items() if c != read[-reach:]}
            best = sorted(cosines.values(), reverse=True)[:NEAREST]
            assert each.nearest is not None
            assert [near.cosine for near in each.nearest] == pytest.approx(best, abs=1e-5)
            for near in each.nearest:
                context = f".{near.context}" if near.from_start else near.context
                assert cosines[context] == pytest.approx(near.cosine, abs=1e-5)
                assert (near.seen, near.followed) == (len(seen[context]), seen[context].count(each.symbol or "."))
                assert f".{near.line}"[: near.position + 1].endswith(context)
                assert (near.line[near.position :] or " ")[0].strip() == near.next


@pytest.mark.parametrize("name", ["uniform", "bigram", "ngram", "one-layer", "mixture"])
def test_models_without_a_hidden_state_say_so(name, learnt):
    found = why(learnt[name], "anna")
    assert hidden_of(learnt[name]) is None
    assert all(each.nearest is None and each.support for each in found.symbols)
    assert any("no hidden state" in note for note in found.notes) is (name in ("one-layer", "mixture"))


def test_a_strangers_network_is_asked_at_its_last_linear_layer():
    class Stranger(WindowModel):
        context = 2

        def __init__(self):
            super().__init__()
            self.config = MODELS["uniform"](symbols=len(CORPUS.alphabet)).config
            self.table = nn.Embedding(len(CORPUS.alphabet), 4)
            self.last = nn.Linear(8, len(CORPUS.alphabet))

        def score(self, windows):
            return self.last(self.table(windows).flatten(1))

    torch.manual_seed(0)
    trained = Trained(Stranger(), CORPUS.alphabet, CORPUS, Recipe("stranger", method="imported"))
    (first, *_) = why(trained, "nab").symbols
    assert first.nearest is not None and len(first.nearest) == NEAREST
    assert output_weights(trained.model)[0] is trained.model.get_parameter("last.weight")


@pytest.mark.parametrize("name", ["bigram", "gru"])
def test_a_run_of_hashes_has_the_models_word_alone(name, learnt):
    kept = learnt[name]
    empty = Corpus("list", Lines.of([]), Lines.of([]), Lines.of([]), CORPUS.alphabet, CORPUS.fingerprint)
    found = why(Trained(kept.model, kept.alphabet, empty, kept.recipe, hashes=np.ones(3, np.uint64)), "anna")
    assert [rung.name for rung in found.rungs] == ["uniform", "run"]
    assert all(each.support is None and each.nearest is None for each in found.symbols)
    assert len(found.notes) == 1 and "--no-keep-list" in found.notes[0]
    assert [each["support"] for each in found.to_dict()["symbols"]] == [None] * 5
    assert found.nats == why(kept, "anna").nats


def test_what_is_impossible_is_null_in_json_and_said():
    found = why(fit(Corpus.of(["ab", "aa"], split="none"), "bigram", smoothing="none"), "ba")
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["nats"] is None and told["symbols"][0]["nats"] is None and told["symbols"][0]["probability"] == 0
    assert told["rungs"][-1]["nats"] is None and "impossible" in found.notes[0]
    assert [other["symbol"] for other in told["symbols"][0]["runners_up"]] == ["a"]


@pytest.mark.parametrize(
    "text, error, words",
    [
        ("anxa", AlphabetError, "'x'"), ("an\nna", UsageError, "one line"), (5, UsageError, "one line"),
        ("a" * (LONGEST + 1), UsageError, "1,001"), ("a\ud800", AlphabetError, "ud800"), ("·", AlphabetError, "·"),
    ],
)  # fmt: skip
def test_what_is_no_line_is_refused(text, error, words, learnt, types_unchecked):
    with pytest.raises(error, match=words):
        why(learnt["bigram"], text)


def test_a_line_as_long_as_can_be(learnt, types_unchecked):
    assert len(why(learnt["ngram"], "annabel" * 142 + "anna").symbols) == LONGEST - 1


def test_a_model_gone_wrong_is_refused(learnt):
    broken = quick(CORPUS, "mlp")
    with torch.no_grad():
        broken.model.get_submodule("output").get_parameter("weight").fill_(math.nan)
    with pytest.raises(MoreishError, match="no probability"):
        why(broken, "anna")
