"""Symbols are drawn as often as they should be: chi-square against enumerated lines, and plain Python's settings."""

import math
from collections import Counter

import pytest
import torch

from moreish.errors import UsageError
from moreish.generating import draws as draws_module
from moreish.generating.draws import AutomatonDraw, LogitsDraw, adjust, check_settings, make_draw
from moreish.generating.sampler import draw_lines
from moreish.learning.fit import fit
from moreish.learning.recipe import Trained
from moreish.models import ngram as ngram_module
from moreish.models.catalog import MODELS
from moreish.models.ngram import NGram
from moreish.text.corpus import Corpus
from slow_ngram import SlowNGram

TEXTS = [*["ab"] * 3, *["b", "a"] * 2, "abba", "bab", "aab", "abab", "ba", "bb", "c", "ca", "cab", "abc", "bac"]
CORPUS = Corpus.of(TEXTS, split="none")
SMOOTHINGS = ["none", "add-0.5", "witten-bell", "kneser-ney"]
CUT = 3
DRAWN = 30_000


@pytest.fixture
def sparse(monkeypatch):
    monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)


def plain_adjust(probs: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    """Temperature, then top-k, then top-p, one symbol at a time."""
    if temperature == 0:
        return [float(i == probs.index(max(probs))) for i in range(len(probs))]
    weights = [p ** (1 / temperature) for p in probs]
    order = sorted(range(len(probs)), key=lambda i: -weights[i])
    if top_k is not None:
        weights = [w if i in order[:top_k] else 0.0 for i, w in enumerate(weights)]
    weights = [w / sum(weights) for w in weights]
    if top_p is not None:
        kept, reached = [], 0.0
        for i in order:
            if reached < top_p:
                kept.append(i)
                reached += weights[i]
        weights = [w if i in kept else 0.0 for i, w in enumerate(weights)]
    return [w / sum(weights) for w in weights]


def enumerated(model, begun: tuple[int, ...] = (), settings=(1.0, None, None)) -> dict[tuple[int, ...], float]:
    """The probability of every line up to CUT symbols; of those cut there, -1 at the end."""
    out, going = {}, [(begun, 1.0)]
    while going:
        line, p = going.pop()
        log_probs = model(torch.tensor([[0, *line]]), model.begin(1))[0][0, -1].double().log_softmax(0)
        shares = plain_adjust(log_probs.exp().tolist(), *settings)
        out[line] = p * shares[0]
        for symbol in range(1, len(shares)):
            if len(line) < CUT:
                going.append(((*line, symbol), p * shares[symbol]))
            else:
                out[(*line, -1)] = out.get((*line, -1), 0.0) + p * shares[symbol]
    return out


def drawn_lines(model, count=DRAWN, at_once=10_000, seed=1, prefix="", **settings) -> Counter:
    draw = make_draw(model, **settings)
    texts: Counter[tuple[str, bool]] = Counter()
    how = {"draw": draw, "prefix": prefix, "seed": seed, "at_once": at_once}
    for batch in draw_lines(model, CORPUS.alphabet, max_length=CUT, **how):
        texts.update(zip(batch.texts, batch.cut.tolist()))
        if texts.total() >= count:
            break
    return Counter({(*CORPUS.alphabet.encode(t), *([-1] if cut else [])): n for (t, cut), n in texts.items()})


def standard_normal_of_chi_square(found: Counter, expected: dict) -> float:
    """How many deviations too large chi-square is (Wilson and Hilferty 1931); rare lines are taken together."""
    total = sum(found.values())
    assert abs(sum(expected.values()) - 1) < 1e-9
    impossible = [line for line in found if expected.get(line, 0.0) == 0.0]
    assert not impossible, f"drawn, though impossible: {impossible[:5]}"
    groups, seen, rest = [], 0, 0.0
    for line, p in expected.items():
        if p * total >= 8:
            groups.append((found[line], p * total))
        else:
            seen, rest = seen + found[line], rest + p * total
    groups += [(seen, rest)] if rest > 1 else []
    statistic, free = sum((o - e) ** 2 / e for o, e in groups), len(groups) - 1
    if free == 0:
        return 0.0
    return ((statistic / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))


def check(model, begun: tuple[int, ...] = (), settings=(1.0, None, None), **how) -> None:
    named = dict(zip(("temperature", "top_k", "top_p"), settings))
    found = drawn_lines(model, **named, **how)
    assert standard_normal_of_chi_square(found, enumerated(model, begun, settings)) < 4.5


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("cells", [1 << 23, 0], ids=["dense", "sparse"])
def test_counts_draw_lines_as_often_as_they_are_probable(cells, order, smoothing, monkeypatch):
    monkeypatch.setattr(ngram_module, "DENSE_CELLS", cells)
    model = fit(CORPUS, "ngram", order=order, smoothing=smoothing).model
    draw = make_draw(model)
    assert isinstance(draw, AutomatonDraw) and draw.whole == bool(cells)
    check(model)


def test_the_lines_are_those_of_the_dictionaries_too(sparse):
    model = fit(CORPUS, "ngram", order=3).model
    slow = SlowNGram([CORPUS.alphabet.encode(text) for text in TEXTS], 4, 3, "kneser-ney")
    for line, p in enumerated(model).items():
        if line[-1:] != (-1,):
            assert p == pytest.approx(slow.line_probability(line), abs=1e-12)


@pytest.mark.parametrize("name", ["uniform", "one-layer"])
def test_any_model_draws_by_its_logits(name):
    model = fit(CORPUS, name, **({"closed_form": True} if name == "one-layer" else {})).model
    assert isinstance(make_draw(model), LogitsDraw)
    check(model)


SETTINGS = [
    (0.5, None, None), (2.0, None, None), (1.0, 1, None), (1.0, 2, None), (1.0, None, 0.6), (1.0, None, 0.01),
    (0.7, 3, 0.8), (1.0, 100, 1.0), (0.0, None, None), (1e-300, None, None), (3.0, 2, 0.99),
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("way", ["dense", "sparse", "one-layer"])
def test_settings_of_sampling_hold_for_every_way_of_drawing(way, settings, monkeypatch):
    if way == "sparse":
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)
    model = fit(CORPUS, "one-layer", steps=50).model if way == "one-layer" else fit(CORPUS, "ngram", order=3).model
    expected = AutomatonDraw if way == "dense" or (way == "sparse" and settings == (1.0, None, None)) else LogitsDraw
    assert isinstance(make_draw(model, *settings), expected)
    if settings[0] != 1e-300:  # plain Python would underflow: it is argmax, as 0 is
        check(model, settings=settings)
    else:
        found = drawn_lines(model, count=300, temperature=1e-300)
        assert found == drawn_lines(model, count=300, temperature=0.0) and len(found) == 1


@pytest.mark.parametrize("cells", [1 << 23, 0], ids=["dense", "sparse"])
def test_a_prefix_conditions_what_follows(cells, monkeypatch):
    monkeypatch.setattr(ngram_module, "DENSE_CELLS", cells)
    for name in ("ngram", "one-layer"):
        model = fit(CORPUS, name, **({"closed_form": True} if name == "one-layer" else {"order": 4})).model
        check(model, begun=(2, 1), prefix="ba")
        check(model, begun=(3,), prefix="c")


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_batches_of_any_size_draw_from_the_same_distribution(at_once):
    model = fit(CORPUS, "ngram", order=3).model
    check(model, at_once=at_once, count={1: 1000, 7: 7000}.get(at_once, DRAWN))


@pytest.mark.parametrize("settings", SETTINGS[:9] + SETTINGS[10:], ids=str)
def test_adjusting_is_plain_pythons(settings):
    generator = torch.Generator().manual_seed(4)
    log_probs = torch.randn(200, 6, generator=generator, dtype=torch.float64).mul(2).log_softmax(1)
    ours = adjust(log_probs, *settings)
    for row, adjusted in zip(log_probs.exp().tolist(), ours.tolist()):
        assert adjusted == pytest.approx(plain_adjust(row, *settings), abs=1e-12)


def test_adjusting_keeps_impossible_symbols_impossible():
    log_probs = torch.tensor([[-math.inf, math.log(0.25), -math.inf, math.log(0.75)]], dtype=torch.float64)
    for settings in [*SETTINGS, (1e300, None, None), (5e-324, None, None), (1.0, 3, 1.0), (1.0, None, 1e-300)]:
        row = adjust(log_probs, *settings)[0]
        assert row[0] == row[2] == 0 and row.sum() == pytest.approx(1) and bool(torch.isfinite(row).all())


def test_equal_symbols_at_temperature_zero_give_the_first():
    assert adjust(torch.zeros(3, 5, dtype=torch.float64).log_softmax(1), 0.0, None, None).argmax(1).tolist() == [0] * 3
    model = MODELS["uniform"](symbols=4)
    assert drawn_lines(model, count=10, temperature=0.0) == {(): 10_000}


# The ends of a random number's range, where rounding could fall off a row.


@pytest.mark.parametrize("number", [0.0, 5e-324, 2**-53, 0.5, 1 - 2**-53], ids=str)
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("way", ["dense", "sparse", "logits"])
def test_no_random_number_draws_what_is_impossible(way, smoothing, number, monkeypatch):
    monkeypatch.setattr(draws_module, "_uniform", lambda count, generator, like: like.new_full((count,), number))
    if way == "sparse":
        monkeypatch.setattr(ngram_module, "DENSE_CELLS", 0)
    corpus = Corpus.of([f"{a}{b}{c}{a}" for a in "abcdefgh" for b in "abcdefgh" for c in "zaebf"], split="none")
    model = fit(corpus, "ngram", order=4, smoothing=smoothing).model
    assert isinstance(model, NGram) and model.config.states > 300
    states, generator = torch.arange(model.config.states), torch.Generator().manual_seed(1)
    if way == "logits":
        last = torch.arange(len(states)) % model.config.symbols
        draw = LogitsDraw(model, 1.0, None, None)
        symbols, nats, _ = draw.step(draw.stand(states.int(), last), generator)
        states = model(last[:, None], states.int())[1]
    else:
        symbols, nats, _ = make_draw(model).step(states, generator)
    assert ((symbols >= 0) & (symbols < model.config.symbols)).all()
    assert torch.allclose(nats, -model.rows(states).gather(1, symbols[:, None])[:, 0]) and torch.isfinite(nats).all()


# R15: values that mean nothing are refused by name; extreme ones that mean something are obeyed.

REFUSED = [
    *[("temperature", x) for x in (-1, -1e-300, math.nan, math.inf, -math.inf, 10**400)],
    *[("temperature", x) for x in (True, False, "1", "", None, [1.0], 1j, b"1")],
    *[("top_k", x) for x in (0, -1, 2.0, True, "3", math.nan, 10**400 * -1)],
    *[("typical", x) for x in (0, 0.0, -0.1, 1.0000001, math.nan, math.inf, True, "0.9")],
    *[("top_p", x) for x in (0, 0.0, -0.1, 1.0000001, math.nan, math.inf, True, "0.9", -(10**400))],
]  # fmt: skip
OBEYED = [
    *[("temperature", x) for x in (0, 0.0, -0.0, 5e-324, 1e-300, 1e-9, 1, 1e9, 1e308, 10**300)],
    *[("top_k", x) for x in (1, 4, 5, 10**30, 10**400)],
    *[("typical", x) for x in (5e-324, 0.5, 1, 1.0)],
    *[("top_p", x) for x in (5e-324, 1e-300, 0.5, 1, 1.0)],
]


@pytest.fixture(scope="module")
def every_model() -> list[Trained]:
    return [fit(CORPUS, name, **({"steps": 20} if MODELS[name].learns_by_gradient else {})) for name in MODELS]


@pytest.mark.parametrize("name, value", REFUSED, ids=lambda x: repr(x)[:12])
def test_settings_that_mean_nothing_are_refused_by_name_for_every_model(name, value, every_model, types_unchecked):
    for trained in every_model:
        with pytest.raises(UsageError, match=f"{name}=") as error:
            make_draw(trained.model, **{name: value})
        assert len(str(error.value)) < 600 and str(error.value).isprintable()
    if name != "temperature":
        with pytest.raises(UsageError, match=f"{name}="):
            check_settings(1.0, **({"top_k": None, "top_p": None} | {name: value}))


@pytest.mark.parametrize("name, value", OBEYED, ids=lambda x: repr(x)[:12])
def test_extreme_settings_that_mean_something_are_obeyed_by_every_model(name, value, every_model, types_unchecked):
    for trained in every_model:
        found = drawn_lines(trained.model, count=50, at_once=50, **{name: value})
        assert all(0 <= symbol < 4 for line in found for symbol in line if symbol != -1)
        if (name, value) in (("temperature", 0), ("top_k", 1)) or (name == "top_p" and value < 1e-200):
            assert len(found) == 1
