"""Losses by hand: torch's cross-entropy, dictionaries, folds taken in turn, sums over every training line."""

import functools
import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from moreish.errors import AlphabetError, MoreishError, UsageError
from moreish.learning import evaluate as evaluate_module
from moreish.learning.evaluate import copy_mass, evaluate, line_nats
from moreish.learning.fit import fit
from moreish.learning.score import score
from moreish.models.catalog import MODELS
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from moreish.text.hashing import line_hashes
from moreish.text.lines import Lines
from quick import quick
from slow_ngram import SlowNGram

chooser = random.Random(8)
MANY = ["".join(chooser.choices("abcdé", [8, 5, 3, 2, 1], k=chooser.randint(1, 9))) for _ in range(400)]
FEW = ["emma", "olivia", "ava", "mia", "amelia", "ella", "mila", "éa", "a", "aa", "ama", "ima"]


def by_hand(trained, line: str) -> float:
    """A line's nats, one reading of the whole, through torch's cross-entropy."""
    ids = trained.alphabet.encode(line)
    logits, _ = trained.model(torch.tensor([[0, *ids]]), trained.model.begin(1))
    return torch.nn.functional.cross_entropy(logits[0].double(), torch.tensor([*ids, 0]), reduction="sum").item()


@pytest.mark.parametrize("at_once", [1 << 22, 1, 40])
@pytest.mark.parametrize("name", MODELS)
def test_nats_of_lines_are_torchs_cross_entropy_however_they_are_batched(name, at_once, monkeypatch):
    monkeypatch.setattr(evaluate_module, "CELLS_AT_ONCE", at_once)
    monkeypatch.setattr(evaluate_module, "POSITIONS_AT_ONCE", at_once)
    trained = quick(Corpus.of(MANY), name)
    lines = Lines.of(["a", "abcdé" * 20, "é", "bab", "d" * 50, "a", "ab", *MANY[:30]])
    nats, sizes = line_nats(trained.model, trained.alphabet, lines)
    assert sizes.tolist() == [len(line) + 1 for line in lines]
    assert nats == pytest.approx([by_hand(trained, line) for line in lines], abs=1e-4, rel=1e-6)


@pytest.mark.parametrize("symbols", ["graphemes", "words", "bytes"])
def test_the_end_of_a_line_counts_as_one_symbol_of_any_kind(symbols):
    texts = ["new york", "york", "e\u0301 new", "new  new"]
    trained = fit(Corpus.of(texts, split="none", symbols=symbols), "ngram", order=2)
    nats, sizes = line_nats(trained.model, trained.alphabet, trained.corpus.train)
    assert sizes.tolist() == [len(trained.alphabet.encode(text)) + 1 for text in texts]
    assert nats == pytest.approx([by_hand(trained, text) for text in texts])
    assert evaluate(trained).symbols == sizes.sum()


def test_no_lines_have_no_nats_and_unknown_symbols_are_an_error():
    trained = fit(Corpus.of(FEW), "bigram")
    nats, sizes = line_nats(trained.model, trained.alphabet, Lines.of([]))
    assert len(nats) == len(sizes) == 0
    with pytest.raises(AlphabetError, match="'x'"):
        line_nats(trained.model, trained.alphabet, Lines.of(["max"]))


@functools.cache
def known(split: str, name: str):
    """A model of MANY, and by hand the nats of every line of its list."""
    trained = quick(Corpus.of(MANY, split=split), name)
    return trained, {line: by_hand(trained, line) for line in set(MANY)}


@pytest.mark.parametrize("part", ["train", "dev", "test"])
@pytest.mark.parametrize("name", ["unigram", "bigram", "ngram", "one-layer"])
@pytest.mark.parametrize("split", ["unique", "lecture", "none"])
def test_every_figure_is_what_it_says(part, split, name):
    trained, nat_of = known(split, name)
    corpus = trained.corpus
    result = evaluate(trained, part)
    lines = list(corpus.train if split == "none" else getattr(corpus, part))
    nats = [nat_of[line] for line in lines]
    symbols = sum(len(line) + 1 for line in lines)
    assert (result.lines, result.symbols) == (len(lines), symbols)
    assert result.nats_per_symbol == pytest.approx(sum(nats) / symbols, abs=1e-6)
    assert result.bits_per_symbol == pytest.approx(result.nats_per_symbol / math.log(2))
    assert result.perplexity == pytest.approx(math.exp(result.nats_per_symbol))
    assert (result.model, result.split, result.part) == (name, split, "train" if split == "none" else part)
    assert result.leaks == (split != "unique") and result.note == corpus.note and result.folds == 0
    mass = sum(math.exp(-nat_of[line]) for line in set(corpus.train))
    assert result.copy_mass == pytest.approx(mass, abs=1e-6)
    assert copy_mass(trained.model, trained.alphabet, corpus.unique_train) == pytest.approx(mass, abs=1e-6)
    unseen = [(line, n) for line, n in zip(lines, nats) if line not in set(corpus.train)]
    assert result.new_lines == len(unseen)
    if not unseen:
        assert result.nats_given_new is None
        return
    # P(line | it is none of the training lines) = P(line) / (1 - copy_mass)
    given_new = sum(-math.log(math.exp(-n) / (1 - mass)) for _, n in unseen) / sum(len(line) + 1 for line, _ in unseen)
    assert result.nats_given_new == pytest.approx(given_new, abs=1e-6)


def test_the_figures_are_the_dictionaries_too():
    corpus = Corpus.of(MANY)
    trained = fit(corpus, "ngram", order=3)
    ids = [tuple(corpus.alphabet.encode(line)) for line in corpus.train]
    slow = SlowNGram([list(row) for row in ids], len(corpus.alphabet), 3, "kneser-ney")
    result = evaluate(trained)
    held_out = [tuple(corpus.alphabet.encode(line)) for line in corpus.dev]
    nats = -sum(math.log(slow.line_probability(row)) for row in held_out)
    assert result.nats_per_symbol == pytest.approx(nats / sum(len(row) + 1 for row in held_out), abs=1e-12)
    assert result.copy_mass == pytest.approx(sum(map(slow.line_probability, ids)), abs=1e-12)
    assert all(
        said.nats == pytest.approx(-math.log(slow.line_probability(row)), abs=1e-10)
        for said, row in zip(score(trained, corpus.dev), held_out)
    )


@pytest.mark.parametrize("name", ["bigram", "ngram", "one-layer"])
@pytest.mark.parametrize("count", [2, 3, 12])
def test_folds_are_learnt_and_held_out_in_turn(name, count):
    corpus = Corpus.of(FEW[:count] * 2)
    trained = quick(corpus, name)
    result = evaluate(trained)
    nats = symbols = given_new = 0.0
    masses = []
    order = list(corpus.train)
    k = min(10, count)
    for fold in range(k):
        held_out = order[fold::k]
        learnt = [line for line in order if line not in held_out]
        again = quick(replace(corpus, train=Lines.of(learnt), kfold=False), name)
        mass = sum(math.exp(-by_hand(again, line)) for line in learnt)
        masses.append(mass)
        for line in held_out:
            nats += by_hand(again, line)
            given_new += by_hand(again, line) + math.log(1 - mass)
            symbols += len(line) + 1
    assert (result.part, result.folds, result.lines, result.symbols) == ("kfold", k, count, symbols)
    assert result.nats_per_symbol == pytest.approx(nats / symbols, abs=1e-6)
    assert result.copy_mass == pytest.approx(sum(masses) / k, abs=1e-6)
    assert result.nats_given_new == pytest.approx(given_new / symbols, abs=1e-6)
    assert not result.leaks and result.parameters == trained.parameters and result.new_lines == count


def test_one_unique_line_has_no_figure_and_the_error_says_so():
    trained = fit(Corpus.of(["ada"] * 3, name="mine"))
    with pytest.raises(MoreishError, match="mine has one unique line") as error:
        evaluate(trained)
    assert "no figure" in str(error.value)
    assert evaluate(trained, "train").lines == 1


@pytest.mark.parametrize("part", ["dev", "train", "test"])
def test_a_run_that_kept_no_list_says_that_it_cannot(part):
    corpus = Corpus.of(FEW)
    trained = fit(corpus)
    nothing = Lines.of([])
    bare = replace(trained, hashes=line_hashes(corpus.train), corpus=replace(corpus, train=nothing))
    with pytest.raises(MoreishError, match="hashes") as error:
        evaluate(bare, part)
    assert "one unique line" not in str(error.value)


@pytest.mark.parametrize("part", ["valid", "", "kfold"])
def test_a_part_that_there_is_not_is_refused(part):
    with pytest.raises(UsageError, match="no part"):
        evaluate(fit(Corpus.of(MANY)), part)


def test_folds_have_no_test_part():
    with pytest.raises(UsageError, match="folds"):
        evaluate(fit(Corpus.of(FEW)), "test")


# Where a figure is infinite.

RARE = ["ab", "ba"] * 5 + [f"{a}{b}{c}" for a in "cdefgh" for b in "cdefgh" for c in "cdefgh"]


@pytest.mark.parametrize("corpus, order", [
    (Corpus.of(["ab", "cd"]), 2),
    (Corpus.of(["ab", "cd", "ef"]), 9),
    (Corpus.of([f"{i:03d}" * 3 for i in range(300)]), 20),  # learnt by heart: nothing is left for what is new
    (Corpus.of(RARE, split="lecture"), 20),
], ids=["two lines", "three lines", "by heart", "by heart, leaking"])  # fmt: skip
def test_what_was_never_seen_is_infinite_and_no_figure_is_nan_or_less_than_nothing(corpus, order):
    result = evaluate(fit(corpus, "ngram", order=order, smoothing="none"))
    assert result.nats_per_symbol == math.inf and result.perplexity == math.inf
    assert result.nats_given_new == math.inf
    said = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert said["nats_per_symbol"] is None and said["perplexity"] is None and said["nats_given_new"] is None
    assert said["model"] == "ngram" and 0 <= said["copy_mass"] <= 1 + 1e-9


@pytest.mark.parametrize("smoothing", ["add-1e-12", "add-0.001", "kneser-ney", "witten-bell"])
def test_a_model_that_knows_its_lines_by_heart_has_figures_all_the_same(smoothing):
    corpus = Corpus.of([f"{i:03d}" * 3 for i in range(300)])
    result = evaluate(fit(corpus, "ngram", order=20, smoothing=smoothing))
    assert 0 < result.nats_given_new < math.inf and 0 < result.copy_mass < 1
    assert result.nats_given_new <= result.nats_per_symbol


def test_a_huge_loss_has_an_infinite_perplexity_rather_than_an_overflow():
    corpus = Corpus.of(FEW, split="none")
    trained = fit(corpus, "one-layer", steps=0)
    with torch.no_grad():
        trained.model.weight[:, 1:] -= 5000.0
    result = evaluate(trained)
    assert 700 < result.nats_per_symbol < math.inf and result.perplexity == math.inf
    assert result.to_dict()["perplexity"] is None


def test_evaluating_a_corpus_in_a_file_is_as_in_memory(tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(MANY))
    streamed, held = Corpus.read(tmp_path / "list.txt", split="none"), Corpus.of(MANY, split="none")
    one, two = (evaluate(fit(corpus, "ngram")) for corpus in (streamed, held))
    assert one == two
    assert np.isclose(one.copy_mass, two.copy_mass)


def test_an_alphabet_larger_than_its_list_costs_only_what_it_takes():
    small = Corpus.of(FEW)
    large = replace(small, alphabet=Alphabet("characters", tuple(sorted({*small.alphabet.symbols, "x", "y"}))))
    assert evaluate(fit(large, "ngram")).nats_per_symbol > evaluate(fit(small, "ngram")).nats_per_symbol
