"""A blend's probabilities are what the formula says, worked out string by string from its two parts."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from moreish.errors import ConfigError, UsageError
from moreish.models.blend import Blend, union
from moreish.models.catalog import MODELS
from moreish.models.laws import check_model
from moreish.models.model import select
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus
from quick import checked_before, quick

AB = Corpus.of(["ab", "b", "abba", "a", "ba", "bab"], split="none")
BC = Corpus.of(["bc", "c", "cb", "bcc", "b", "ccb"], split="none")
LONGEST = 4


def blend(one="bigram", other="bigram", weight=0.3, lists=(AB, BC)) -> Blend:
    a, b = quick(lists[0], one), quick(lists[1], other)
    return Blend(a.model, b.model, a.alphabet, b.alphabet, weight).eval()


def alone(model, ids: dict[str, int], line: str) -> dict[str, float] | None:
    """What one model says may follow a line, "" being the end; None where it cannot read it."""
    if any(symbol not in ids for symbol in line):
        return None
    read = torch.tensor([[0, *(ids[symbol] for symbol in line)]])
    row = model(read, model.begin(1))[0][0, -1].double().softmax(0).tolist()
    return {"": row[0], **{symbol: row[i] for symbol, i in ids.items()}}


def direct(model: Blend, line: str) -> dict[str, float]:
    """The formula, over a dictionary."""
    a = alone(model.a, {"a": 1, "b": 2}, line)
    b = alone(model.b, {"b": 1, "c": 2}, line)
    weight, every = model.config.weight, ("", "a", "b", "c")
    if a is None and b is None:
        return dict.fromkeys(every, 0.25)
    if a is None or b is None:
        return {symbol: (a or b or {}).get(symbol, 0.0) for symbol in every}
    return {symbol: (1 - weight) * a.get(symbol, 0.0) + weight * b.get(symbol, 0.0) for symbol in every}


@pytest.mark.parametrize(
    "one, other, weight",
    [*(("bigram", "ngram", weight) for weight in (0.0, 0.3, 1.0)), ("gru", "bigram", 0.3), ("mlp", "gru", 0.6)],
)
def test_every_string_has_the_probability_of_the_formula_and_all_sum_to_one(one, other, weight):
    model, close = blend(one, other, weight), 1e-9 if "gru" not in (one, other) else 1e-5
    said_of = {line: direct(model, line) for n in range(LONGEST + 1) for line in map("".join, product("abc", repeat=n))}
    whole = going_on = 0.0
    for length in range(LONGEST + 1):
        lines = [line for line in said_of if len(line) == length]
        rows = torch.tensor([[0, *("abc".index(s) + 1 for s in line), 0] for line in lines])
        tokens, targets, state = rows[:, :-1], rows[:, 1:], model.begin(len(rows))
        nats = model.target_nats(tokens, targets, state).double()
        probs = model(tokens, state)[0].double().exp()
        for i, line in enumerate(lines):
            said = [said_of[line[:t]] for t in range(length + 1)]
            wanted = [step[target] for step, target in zip(said, [*line, ""])]
            assert nats[i].neg().exp().tolist() == pytest.approx(wanted, abs=close)
            assert probs[i, -1].tolist() == pytest.approx(list(said[-1].values()), abs=close)
            whole += math.prod(wanted)
            going_on += math.prod(wanted[:-1]) * (1 - wanted[-1]) if length == LONGEST else 0.0
    assert whole + going_on == pytest.approx(1, abs=close) and 0.2 < whole < 1


@pytest.mark.parametrize("weight, part", [(0.0, "a"), (1.0, "b")])
def test_a_weight_of_nothing_or_all_is_one_of_them_to_the_bit(weight, part):
    a, b = quick(AB, "ngram", order=3), quick(BC, "ngram", order=3)
    model = Blend(a.model, b.model, a.alphabet, b.alphabet, weight)
    of = {"a": a, "b": b}[part]
    for text in of.corpus.train:
        ours, theirs = ([0, *x.encode(text), 0] for x in (union(a.alphabet, b.alphabet), of.alphabet))
        ours, theirs = torch.tensor([ours]), torch.tensor([theirs])
        wanted = of.model.target_nats(theirs[:, :-1], theirs[:, 1:], of.model.begin(1))
        assert torch.equal(model.target_nats(ours[:, :-1], ours[:, 1:], model.begin(1)), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_a_blend_with_any_model_keeps_the_laws(name):
    lists = (AB, AB if name == "bigram" else BC)
    model, tokens = blend("ngram", name, 0.4, lists), torch.tensor([[0, 1, 2], [0, 2, 2]])
    model(tokens, model.begin(2))
    model.target_nats(tokens, tokens, model.begin(2))
    with checked_before():
        checked = check_model(model)
    assert {"reading-in-chunks", "rows-apart", "select-commutes", "nats-of-logits", "sums-to-one"} <= set(checked)


def test_it_keeps_no_more_digits_than_the_rougher_of_the_two_has():
    tokens = torch.tensor([[0, 1, 2]])
    for one, other, dtype in (("bigram", "ngram", torch.float64), ("bigram", "gru", torch.float32)):
        for model in (blend(one, other), blend(other, one)):
            assert model(tokens, model.begin(1))[0].dtype == dtype
            assert model.target_nats(tokens, tokens, model.begin(1)).dtype == dtype


def test_one_reads_on_alone_after_a_symbol_that_the_other_lacks_from_whatever_chunk():
    model = blend()
    _, state = model(torch.tensor([[0, 1], [0, 3], [0, 2]]), model.begin(3))  # a, c, b
    assert state.reads_a.tolist() == [True, False, True] and state.reads_b.tolist() == [False, True, True]
    _, state = model(torch.tensor([[3], [3], [2]]), state)
    assert state.reads_a.tolist() == [False, False, True] and state.reads_b.tolist() == [False, True, True]
    assert select(state, torch.tensor([2, 0])).reads_b.tolist() == [True, False]
    unread, _ = model(torch.zeros(3, 0, dtype=torch.long), state)
    assert unread.shape == (3, 0, 4)


@pytest.mark.parametrize("weight", [-0.1, 1.5, math.nan, math.inf, True, "0.3", None])
def test_a_weight_that_means_nothing_is_refused(weight, types_unchecked):
    with pytest.raises(ConfigError, match="weight="):
        blend(weight=weight)


def test_symbols_of_different_kinds_are_refused():
    with pytest.raises(UsageError, match=r"characters.*words"):
        union(Alphabet("characters", ("a",)), Alphabet("words", ("a",)))
    assert union(Alphabet("words", ("b", "c")), Alphabet("words", ("a", "c"))).symbols == ("a", "b", "c")
