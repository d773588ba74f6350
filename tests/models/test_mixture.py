"""The mixture: its tables against counting by hand, leaving one out against counting without it, and its laws."""

from __future__ import annotations

import copy
import math
import pickle
import random
from collections import Counter, defaultdict
from functools import partial

import pytest
import torch

from moreish.errors import ConfigError, LawBroken
from moreish.learning.evaluate import evaluate
from moreish.learning.fit import fit
from moreish.models.catalog import MODELS
from moreish.models.contexts import NAMES, Seen, look, look_at_lines
from moreish.models.evidence import DISCOUNT, of_all
from moreish.models.laws import check_model
from moreish.models.mixture import TABLES, Mixture, MixtureConfig
from moreish.text.corpus import Corpus

chooser = random.Random(3)
WORDS = ["".join(chooser.choices("abcdef", [9, 5, 3, 2, 2, 1], k=chooser.randint(1, 8))) for _ in range(150)]
SMALL = {"gate": 5, "scorer": 4}


def ids_of(words: list[str]) -> torch.Tensor:
    return torch.tensor([0, *(i for word in words for i in [*("_abcdef".index(c) for c in word), 0])])


def prepared(words: list[str] = WORDS, seed: int = 0, **asked) -> Mixture:
    config = MODELS["mixture"].configure(symbols=7, **{**SMALL, **asked})
    return Mixture.prepare(config, ids_of(words).numpy(), seed)


def factory(symbols: int, seed: int = 0) -> Mixture:
    """A mixture with tables of lines in which every symbol and every end is equally likely."""
    ids = torch.randint(symbols, (6000,), generator=torch.Generator().manual_seed(0))
    ids[0] = ids[-1] = 0
    return Mixture.prepare(MixtureConfig(symbols=symbols, gate=24, scorer=24), ids.numpy(), seed)


def stirred(model: Mixture) -> Mixture:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model.eval()


# Laws.


def test_it_keeps_the_laws_before_its_tables_are_counted():
    assert "every-gradient" not in check_model(MODELS["mixture"])


@pytest.mark.parametrize("double", [False, True])
def test_it_keeps_the_laws_with_tables(double):
    checked = check_model(lambda symbols, seed=0: factory(symbols, seed).to(torch.float64 if double else torch.float32))
    assert {"every-gradient", "learns-by-heart", "sums-to-one", "config-round-trip"} <= set(checked)


def test_it_keeps_the_laws_once_it_has_learnt():
    checked = check_model(stirred(prepared()).double())
    assert "sums-to-one" in checked


def test_a_mixture_that_scores_by_left_out_counts_would_be_found_out():
    class Cheat(Mixture):
        def target_nats(self, tokens, targets, state):
            flat = self.read(tokens, state)
            logits = self._logits(flat, targets.flatten())
            return torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)

        def read(self, tokens, state) -> Seen:
            seen = look(tokens, state, self.classes)
            return Seen(*(getattr(seen, name).flatten(0, 1) for name in Seen.__slots__))

    model = stirred(prepared()).double()
    cheat = Cheat(model.config).double()
    cheat.load_state_dict(model.state_dict())
    with pytest.raises(LawBroken, match="sums-to-one"):
        check_model(cheat)


# Tables.


def last(line: tuple, t: int, n: int) -> tuple:
    """The last n symbols, newest first, 0 before the line."""
    return tuple(line[t - j] if t >= j else 0 for j in range(n))


BY_HAND = {
    **{f"last {n}": partial(last, n=n) for n in range(1, 8)},
    "whole line": lambda line, t: line[: t + 1],
    "place, last 1": lambda line, t: (t, last(line, t, 1)),
    "place, last 4": lambda line, t: (t, last(line, t, 4)),
    "skip 1": lambda line, t: last(line, t, 2)[1],
    "skip 0 2": lambda line, t: last(line, t, 3)[::2],
    "first 2, last 2": lambda line, t: (line[1:3][: max(0, t)], last(line, t, 2)),
    "whole line, place (2,) wild": lambda line, t: (t, line[:2][: t + 1], line[3 : t + 1]),
    "whole line, 2 from its end wild": lambda line, t: (t, line[: t - 1], line[t]) if t > 1 else line[: t + 1],
}
"""What a context looks at in a line `0 e m m a` after its symbol t: equal here, equal in the table."""


def occurrences(words: list[str]) -> list[tuple[list[int], int, int]]:
    """Each position of a list: its line, its place, what comes next."""
    out = []
    for word in words:
        line = [0, *("_abcdef".index(c) for c in word)]
        out += [(tuple(line), t, ([*line, 0])[t + 1]) for t in range(len(line))]
    return out


def counted(places: list[tuple], name: str) -> dict:
    found: dict = defaultdict(Counter)
    for line, t, target in places:
        found[BY_HAND[name](line, t)][target] += 1
    return found


def continued(places: list[tuple], order: int) -> dict:
    """Continuation counts by their definition: how many kinds of symbol stood before the context and its target; raw
    ones where the context reaches the boundary, for nothing stands before that."""
    kinds, raw = defaultdict(set), defaultdict(Counter)
    for line, t, target in places:
        context = last(line, t, order)
        if context[-1] == 0:
            raw[context][target] += 1
        else:
            kinds[context, target].add(line[t - order])
    for (context, target), before in kinds.items():
        raw[context][target] = len(before)
    return raw


def looked_up(model: Mixture, places: list[tuple], targets: torch.Tensor | None) -> torch.Tensor:
    lengths = torch.tensor([len(line) for line, t, _ in places if t == 0])
    tokens = torch.tensor([line[t] for line, t, _ in places])
    return model.counts(look_at_lines(tokens, lengths, model.classes), targets)


@pytest.mark.parametrize("name", BY_HAND)
def test_tables_hold_what_counting_by_hand_gives(name):
    places = occurrences(WORDS)
    found = looked_up(prepared(), places, None)[:, NAMES.index(name)]
    wanted = counted(places, name)
    for row, (line, t, _) in zip(found, places):
        assert {i: int(n) for i, n in enumerate(row) if n} == dict(wanted[BY_HAND[name](line, t)])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_continuations_count_kinds(order):
    places = occurrences(WORDS)
    found = looked_up(prepared(), places, None)[:, NAMES.index(f"continuation {order}")]
    wanted = continued(places, order)
    for row, (line, t, _) in zip(found, places):
        assert {i: int(n) for i, n in enumerate(row) if n} == dict(wanted[last(line, t, order)])


def test_leaving_one_out_is_counting_without_it():
    places = occurrences(WORDS[:60])
    targets = torch.tensor([target for _, _, target in places])
    found = looked_up(prepared(WORDS[:60]), places, targets)
    for at in chooser.sample(range(len(places)), 40):
        line, t, target = places[at]
        others = places[:at] + places[at + 1 :]
        for name in BY_HAND:
            wanted = counted(others, name)[BY_HAND[name](line, t)]
            assert found[at, NAMES.index(name), target] == wanted[target], (name, line, t)
        for order in range(1, 5):
            wanted = continued(others, order)[last(line, t, order)]
            assert found[at, NAMES.index(f"continuation {order}"), target] == wanted[target], (order, line, t)


def test_what_a_context_never_saw_is_left_to_the_others():
    model = prepared()
    counts = torch.zeros(1, TABLES, 7)
    counts[0, 0] = torch.tensor([0, 3.0, 1, 0, 0, 0, 0])
    ratios, confidence = of_all(counts, model.log_unigram.exp())
    unigram = model.log_unigram.exp()
    share = torch.tensor([0, 3 - DISCOUNT, 1 - DISCOUNT, 0, 0, 0, 0]) / 4 + 2 * DISCOUNT / 4 * unigram
    assert share.sum().item() == pytest.approx(1, abs=1e-6), "discounted, the rest spread by the unigram"
    assert torch.allclose(ratios[0, 0], (share / unigram).log(), atol=1e-6)
    assert ratios[0, 1:TABLES].abs().max() == 0 and confidence[0, 0].item() == pytest.approx(math.log1p(4) / 4)


# Large alphabets.


@pytest.mark.parametrize("out", [False, True])
def test_the_few_that_were_seen_are_known_as_among_all(out):
    model = prepared().double()
    places = occurrences(WORDS)
    targets = torch.tensor([target for _, _, target in places])
    lengths = torch.tensor([len(line) for line, t, _ in places if t == 0])
    seen = look_at_lines(torch.tensor([line[t] for line, t, _ in places]), lengths, model.classes)
    every, known = of_all(model.counts(seen, targets if out else None), model.log_unigram.exp())
    few = model.few(seen, targets if out else None)
    assert torch.allclose(few.confidence, known)
    features = few.features[len(few.position) :][..., None].repeat(1, 1, 7)  # what all others share, then the few
    features[few.position, :, few.symbol] = few.features[: len(few.position)]
    assert torch.allclose(features, every)


def test_it_keeps_the_laws_where_few_symbols_are_candidates(monkeypatch):
    monkeypatch.setattr("moreish.models.mixture.EVERY_SYMBOL", 0)
    checked = check_model(lambda symbols, seed=0: factory(symbols, seed).double())
    assert {"every-gradient", "learns-by-heart", "sums-to-one", "config-round-trip"} <= set(checked)


def test_a_large_alphabet_is_learnt(monkeypatch):
    monkeypatch.setattr("moreish.models.mixture.EVERY_SYMBOL", 20)
    rnd = random.Random(1)
    symbols = [chr(0x4E00 + i) for i in range(60)]
    lines = [a + rnd.choice(symbols[30:]) + rnd.choice(symbols[:9]) for a in symbols for _ in range(5)]
    corpus = Corpus.of(dict.fromkeys(lines))
    nats = {name: evaluate(fit(corpus, name)).nats_per_symbol for name in ("unigram", "ngram", "mixture")}
    assert len(corpus.alphabet) == 61 and nats["mixture"] < min(nats["unigram"], nats["ngram"]) - 0.1


# Reading.


def test_whole_lines_are_read_as_symbol_by_symbol():
    model = stirred(prepared()).double()
    words = WORDS[:20]
    flat = ids_of(words)
    lengths = torch.tensor([len(word) + 1 for word in words])
    together = model.read_lines(flat[:-1], lengths)
    at = 0
    for word in words:
        state = model.begin(1)
        for token in ids_of([word])[:-1]:
            logits, state = model(token.view(1, 1), state)
            assert torch.allclose(logits[0, 0], together[at], rtol=0, atol=1e-10)
            at += 1


def test_its_weights_and_tables_are_all_that_it_is():
    model = stirred(prepared())
    again = Mixture(model.config, seed=9)
    again.load_state_dict(model.state_dict())
    again.eval().check_tables()
    tokens = torch.tensor([[0, 1, 2, 3, 1]])
    assert torch.equal(again(tokens, again.begin(1))[0], model(tokens, model.begin(1))[0])


def test_it_learns_what_counting_gives_and_more():
    rnd = random.Random(0)
    lines = [
        "".join(rnd.choice(a) for a in ("abc", "de", "abcde", "fa")) + "ba" * rnd.randint(0, 5) for _ in range(900)
    ]
    corpus = Corpus.of(dict.fromkeys(lines))
    nats = {}
    for name in ("ngram", "mixture"):
        trained = fit(corpus, name)
        nats[name] = evaluate(trained).nats_per_symbol
    assert nats["mixture"] < nats["ngram"] - 0.02


# What cannot be.

REFUSED = [
    ({"gate": 0}, "gate=0"),
    ({"scorer": 2.5}, "scorer=2.5"),
    ({"dropout": 1.0}, "dropout=1.0"),
    ({"gate": 100_000, "scorer": 100_000}, "weights"),
    ({"rows": 5}, "entries=0"),
]


@pytest.mark.parametrize("asked, words", REFUSED, ids=str)
def test_settings_that_cannot_be_are_refused(asked, words, types_unchecked):
    with pytest.raises(ConfigError, match=words):
        MixtureConfig(symbols=27, **asked)


def test_a_list_too_long_for_its_tables_is_refused(monkeypatch):
    monkeypatch.setattr("moreish.models.tables.MOST_POSITIONS", 100)
    with pytest.raises(ConfigError, match=r"more than the 100 .* model ngram"):
        prepared()


def test_a_line_too_long_is_refused(monkeypatch):
    monkeypatch.setattr("moreish.models.tables.LONGEST", 7)
    with pytest.raises(ConfigError, match="longest line has 8 symbols, more than the 7"):
        prepared(["ab", "abababab"])


def test_lines_that_begin_in_too_many_ways_are_refused(monkeypatch):
    monkeypatch.setattr("moreish.models.mixture.EVERY_SYMBOL", 0)
    monkeypatch.setattr("moreish.models.evidence.MOST_ENTRIES", 1000)
    with pytest.raises(ConfigError, match=r"1,000 are held together\. Use a smaller --batch"):
        prepared()


def test_tables_too_large_to_be_written_out_are_read_row_by_row(monkeypatch):
    model = stirred(prepared()).double()
    tokens = torch.tensor([[0, 1, 2, 3], [0, 3, 3, 3]])
    wanted = model(tokens, model.begin(2))[0]
    monkeypatch.setattr("moreish.models.mixture.MOST_CELLS", 10)
    assert torch.equal(model(tokens, model.begin(2))[0], wanted)


def test_a_model_can_be_pickled_and_copied():
    model = stirred(prepared())
    tokens = torch.tensor([[0, 1, 2, 3]])
    wanted = model(tokens, model.begin(1))[0]
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(again(tokens, again.begin(1))[0], wanted)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("rows, long", [(2, 0), (0, 3), (0, 0)])
def test_reading_nothing_gives_nothing(name, rows, long):
    model = MODELS[name](symbols=7)
    logits, _ = model(torch.zeros(rows, long, dtype=torch.long), model.begin(rows))
    assert logits.shape == (rows, long, 7)


BROKEN = {
    "entry_symbols ": lambda t: t - 1,
    "entry_symbols  ": lambda t: t.clone().fill_(3),
    "log_unigram ": lambda t: t - 1000,
    "keys": lambda t: t.flip(0),
    "row_starts": lambda t: t + 1,
    "entry_symbols": lambda t: torch.full_like(t, 200),
    "entry_counts": lambda t: -t,
    "classes": lambda t: t + 1000,
    "log_unigram": lambda t: t * math.nan,
    "scale": lambda t: -t,
    "gate_scale": lambda t: t * 0,
}


@pytest.mark.parametrize("name", BROKEN)
def test_tables_that_no_counting_gives_are_refused(name):
    model = prepared()
    table = getattr(model, name.strip())
    table.copy_(BROKEN[name](table.clone()))
    with pytest.raises(ConfigError, match=name.strip()):
        model.check_tables()


def test_lines_of_every_length_are_counted():
    for words in ([""], ["a"], ["", ""], ["abc" * 20]):
        model = prepared(words)
        assert len(model.keys) > 0
        tokens = torch.tensor([[0, 1, 2]])
        assert model(tokens, model.begin(1))[0].isfinite().all()
