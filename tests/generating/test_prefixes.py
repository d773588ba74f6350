"""Prefixes read once give the lines that the plain way gives: to the symbol from equal random numbers, in distribution
from others; and nothing is read twice."""

import math
from collections import Counter
from itertools import islice
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor

from moreish.errors import MoreishError
from moreish.generating import prefixes as prefixes_module
from moreish.generating import windows as windows_module
from moreish.generating.draws import Draw, LogitsDraw, make_draw
from moreish.generating.prefixes import Prefixes
from moreish.generating.sampler import draw_lines
from moreish.generating.windows import Windows
from moreish.models.catalog import MODELS
from moreish.models.model import select
from moreish.randomness import stream
from plain_draw import ALPHABET, LONGEST, MADE, Memory, Plain, Remembering, mlp, multinomial_lines

READERS = {"remembering": Prefixes, "mlp of 9": Prefixes, "mlp of 2": Windows, "one symbol": Windows}
WAYS = {
    "as it is": {},
    "nothing kept": {"KEPT_BYTES": 1},
    "little kept": {"KEPT_BYTES": 3_000},
    "nothing shared": {"SHARING": 0.0, "KEPT_BYTES": 100_000},
    "no windows": {"WINDOW_CELLS": 0},
}


def go(way: str, monkeypatch) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(windows_module if name == "WINDOW_CELLS" else prefixes_module, name, value)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    go(request.param, monkeypatch)
    return request.param


def batches(model, draw: Draw, count: int = 3, at_once: int = 60, **how):
    how = {"max_length": LONGEST, "seed": 5, "at_once": at_once} | how
    return list(islice(draw_lines(model, ALPHABET, draw=draw, **how), count))


def reader_of(draw: Draw, position: Any) -> Any:
    assert isinstance(draw, LogitsDraw)
    return position[0]


SETTINGS = [(), (0.6, None, None), (1.0, 2, None), (1.0, None, 0.7), (1.7, 4, 0.9), (0.0, None, None)]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", MADE)
def test_from_the_same_random_numbers_come_the_plain_ways_lines_to_the_symbol(name, settings):
    model = MADE[name]().double()
    for how, ways in (({}, WAYS), ({"prefix": "cab"}, ["as it is"])):
        plain = batches(model, Plain(model, *settings), **how)  # it is slow, and knows of no ways
        for way in ways:
            with pytest.MonkeyPatch.context() as patch:
                go(way, patch)
                ours = batches(model, make_draw(model, *settings), **how)
            for one, other in zip(ours, plain, strict=True):
                assert one.texts == other.texts and (one.cut == other.cut).all(), way
                assert one.nats == pytest.approx(other.nats, abs=1e-10), way
            assert len(set(one.texts)) > (0 if settings == (0.0, None, None) else 2)


def test_a_prefix_is_kept_only_after_one_that_is(monkeypatch):
    sizes = iter([10_000, *[0] * LONGEST])  # as if states shrank: what follows the first symbol is too large, then fits
    monkeypatch.setattr(prefixes_module, "row_bytes", lambda state: next(sizes))
    monkeypatch.setattr(prefixes_module, "KEPT_BYTES", 9_000)
    model = Remembering().double()
    for one, other in zip(batches(model, make_draw(model)), batches(model, Plain(model))):
        assert one.texts == other.texts


@pytest.mark.parametrize("name", MADE)
def test_nats_of_single_precision_are_the_models_own(name, way):
    model = MADE[name]()
    for batch in batches(model, make_draw(model, 1.3), prefix="b"):
        for text, nats, cut in zip(batch.texts, batch.nats, batch.cut):
            line = torch.tensor([[0, *ALPHABET.encode(text), 0]])
            said = model.target_nats(line[:, :-1], line[:, 1:], model.begin(1))[0].detach().double()
            assert nats == pytest.approx(float((said[:-1] if cut else said).sum()), abs=1e-5)


# In distribution, against lines drawn with other random numbers, by another function.

LINES = 4_000
LOOKS = {
    "first symbol": lambda line: line[:1],
    "length": len,
    "first pair": lambda line: line[:2],
    "last pair": lambda line: line[-2:],
    "whole line": lambda line: line,
}
"""One look at a line each, so that lines count as independent."""
CHANCE = 0.001
"""That any of the comparisons fails where the distributions are equal: shared out among them (Bonferroni)."""


def deviations(one: Counter, other: Counter) -> float:
    """Of two samples of equal size: how many deviations too large chi-square is (Wilson and Hilferty 1931)."""
    rare = [key for key in one | other if one[key] + other[key] < 20]
    pairs = [(one[key], other[key]) for key in one | other if key not in set(rare)]
    pairs.append((sum(one[key] for key in rare), sum(other[key] for key in rare)))
    pairs = [(a, b) for a, b in pairs if a + b]
    statistic, free = sum((a - b) ** 2 / (a + b) for a, b in pairs), len(pairs) - 1
    return ((statistic / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))


@pytest.mark.parametrize("name", ["remembering", "mlp of 9", "mlp of 2"])
def test_lines_are_distributed_as_the_plain_ways(name):
    model = MADE[name]()
    with torch.no_grad():
        plain = multinomial_lines(model, LINES)
    ours = [text for batch in batches(model, make_draw(model), LINES // 500, 500) for text in batch.texts]
    assert len(ours) == len(plain) == LINES
    limit = NormalDist().inv_cdf(1 - CHANCE / (3 * len(LOOKS)))
    found = {look: deviations(Counter(map(of, ours)), Counter(map(of, plain))) for look, of in LOOKS.items()}
    assert max(found.values()) < limit, found
    warmer = [text for batch in batches(model, make_draw(model, 1.3), LINES // 500, 500) for text in batch.texts]
    differ = [deviations(Counter(map(of, warmer)), Counter(map(of, plain))) for of in LOOKS.values()]
    assert max(differ) > limit, "a temperature of 1.3 would have passed"


# What is read, and how often.


def prefixes_of(texts: list[str], cut) -> set[tuple[int, ...]]:
    lines = [[0, *ALPHABET.encode(text)] if text else [0] for text in texts]
    return {tuple(line[:end]) for line in lines for end in range(1, len(line) + 1)}


def test_each_prefix_is_read_once_and_no_prefix_of_a_finished_line():
    model = Remembering()
    stream_of = draw_lines(model, ALPHABET, draw=make_draw(model), max_length=LONGEST, seed=2, at_once=300)
    seen: set[tuple[int, ...]] = set()
    for batch in islice(stream_of, 4):
        asked = prefixes_of(batch.texts, batch.cut)
        assert set(model.reads.values()) == {1} and set(model.reads) <= asked
        # Beyond the line's first symbols some are too rare to be kept, and are read again when met again.
        assert set(model.reads) >= asked - seen and not {r for r in model.reads if len(r) < 4} & seen
        seen |= asked
        model.reads.clear()


def test_each_window_is_read_once(monkeypatch):
    model, read = mlp(2), Counter()
    reader = model.reader()

    def counting(tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        read.update(map(tuple, torch.cat([state, tokens], 1).tolist()))
        return reader(tokens, state)

    monkeypatch.setattr(model, "reader", lambda: counting)
    batches(model, make_draw(model), 5, 200)
    assert read and set(read.values()) == {1} and len(read) <= 25


@pytest.mark.parametrize("kept", [0, 1_000, 20_000])
def test_what_is_kept_stays_within_the_memory_for_it(kept, monkeypatch):
    monkeypatch.setattr(prefixes_module, "KEPT_BYTES", kept + 1)
    model = Remembering()
    draw = make_draw(model)
    position = draw.begin(torch.tensor([[0]]))
    reader = reader_of(draw, position)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        lines = draw.keep(position, torch.zeros(200, dtype=torch.long))
        for _ in range(LONGEST):
            _, _, lines = draw.step(lines, generator)
    sizes = [level.size * level.count for level in reader.levels]
    assert sum(sizes) == kept + 1 - reader.room <= kept + 1
    assert sum(level.count for level in reader.levels) == reader.used - reader.most
    assert (sum(sizes) > kept / 2) == (kept > 0)


def test_a_rare_prefix_is_not_kept_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(prefixes_module, "KEPT_BYTES", 6_000)
    model = Remembering().double()
    draw = make_draw(model)
    reader, _ = position = draw.begin(torch.tensor([[0]]))
    generator, lines = torch.Generator().manual_seed(1), draw.keep(position, torch.zeros(2_000, dtype=torch.long))
    _, _, lines = draw.step(lines, generator)
    for depth in (2, 3):
        _, _, lines = draw.step(lines, generator)
        level = reader.levels[depth]
        if not level.count:
            continue
        read = level.states.seen[1][: level.count].clone()
        nats = model.target_nats(read[:, :-1], read[:, 1:], model.begin(level.count)).sum(1)
        assert (nats.neg().exp() >= level.size / 6_000 - 1e-12).all()
    assert reader.levels[1].count == 1 and 0 < reader.levels[2].count < 5


# Positions are values.


@pytest.mark.parametrize("name", MADE)
def test_a_position_can_be_stepped_from_again_whatever_came_between(name, way):
    model = MADE[name]().double()
    draw = make_draw(model)
    start = draw.keep(draw.begin(torch.tensor([[0, 2]])), torch.zeros(80, dtype=torch.long))
    for steps in range(4):
        position, generator = start, torch.Generator().manual_seed(steps)
        for _ in range(steps):
            _, _, position = draw.step(position, generator)
        once = draw.step(position, torch.Generator().manual_seed(9))[:2]
        between = start
        for _ in range(6):
            _, _, between = draw.step(between, generator)
        again = draw.step(position, torch.Generator().manual_seed(9))[:2]
        assert torch.equal(once[0], again[0]) and torch.allclose(once[1], again[1], atol=1e-12)


def test_two_streams_of_lines_from_one_draw_do_not_meet():
    model = Remembering().double()
    draw = make_draw(model)
    alone = [batches(model, make_draw(model), seed=seed, prefix=prefix) for seed, prefix in ((1, ""), (2, "a"))]
    how = {"draw": draw, "max_length": LONGEST, "at_once": 60}
    together = zip(draw_lines(model, ALPHABET, seed=1, **how), draw_lines(model, ALPHABET, seed=2, prefix="a", **how))
    for (one, other), expected_one, expected_other in zip(together, *alone):
        assert one.texts == expected_one.texts and other.texts == expected_other.texts


def test_lines_kept_in_any_order_draw_as_they_would_have():
    model = Remembering().double()
    draw, rows = make_draw(model), torch.tensor([3, 3, 0, 7, 2])
    position = draw.keep(draw.begin(torch.tensor([[0]])), torch.zeros(8, dtype=torch.long))
    generator = torch.Generator().manual_seed(3)
    read = [torch.zeros(8, dtype=torch.long)]
    for _ in range(3):
        symbols, _, position = draw.step(position, generator)
        read.append(symbols)
    chosen, nats, _ = draw.step(draw.keep(position, rows), generator)
    lines = torch.stack(read, 1)[rows]
    said = model(lines, model.begin(len(rows)))[0][:, -1].log_softmax(1)
    assert torch.allclose(-nats, said.gather(1, chosen[:, None])[:, 0], atol=1e-12)


@pytest.mark.parametrize("name, reader", READERS.items())
def test_windows_are_kept_where_they_are_few(name, reader):
    draw = make_draw(MADE[name]())
    assert type(reader_of(draw, draw.begin(torch.tensor([[0]])))) is reader


def test_drawing_leaves_nothing_that_cannot_be_learnt_from():
    """What a model keeps of its own while it is drawn from must be of use in training."""

    class Keeping(Remembering):
        kept: Tensor | None = None

        def forward(self, tokens: Tensor, state: Memory) -> tuple[Tensor, Memory]:
            if self.kept is None:
                self.kept = torch.ones(self.config.symbols)
            logits, state = super().forward(tokens, state)
            return logits * self.kept, state

    model = Keeping()
    batches(model, make_draw(model), 1)
    logits, _ = model(torch.tensor([[0, 1]]), model.begin(1))
    logits.sum().backward()
    assert model.output.grad is not None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_model_that_says_nothing_that_can_be_drawn_is_refused(bad):
    for model in (Remembering(), mlp(1)):
        with torch.no_grad():
            (model.output if isinstance(model, Remembering) else next(model.parameters())).fill_(bad)
        with pytest.raises(MoreishError, match="lets nothing follow"):
            batches(model, make_draw(model), 1)


@pytest.mark.parametrize("name", MODELS)
def test_what_reads_often_reads_as_forward_does(name):
    model = MODELS[name](symbols=7, seed=1).eval()
    tokens = torch.randint(1, 7, (5, 6), generator=stream(1, "tokens"))
    with torch.no_grad():
        read, state, ours = model.reader(), model.begin(5), model.begin(5)
        for piece in (tokens[:, :1], tokens[:, 1:2], tokens[:, 2:5], tokens[:, 5:]):
            expected, state = model(piece, state)
            logits, ours = read(piece, select(ours, torch.arange(5)))
            assert torch.allclose(logits, expected, atol=1e-5)
