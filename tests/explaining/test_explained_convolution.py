"""The convolution explained: against torch's own Conv1d, counts on paper, and networks that see too much."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from moreish.errors import UsageError
from moreish.explaining.convolution import reach as reaching
from moreish.explaining.convolution import timing, walk
from moreish.explaining.convolution.reach import reach_of
from moreish.explaining.convolution.sliding import (
    Slid,
    along,
    by_convolution,
    by_loop,
    by_queues,
    by_windows,
    taps,
    wavenet_by_convolution,
    wavenet_by_queues,
)
from moreish.explaining.convolution.timing import WAYS, calls_of, timings_of
from moreish.explaining.convolution.walk import Convolution, Told, explain_convolution, measured
from moreish.explaining.convolution.words import concluded, explained
from moreish.models.tree import Tree, TreeConfig
from moreish.models.wavenet import WaveNet, WaveNetConfig
from moreish.ops.convolve import convolve
from moreish.randomness import stream
from moreish.text.alphabet import Alphabet
from moreish.text.corpus import Corpus

LETTERS = Alphabet("characters", tuple("abcdefgh"))


def hurry(patch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (walk, "STEPS", 3), (walk, "MOST_SYMBOLS", 300), (walk, "TEXT", 20), (timing, "REPEATS", 3)
    ):  # fmt: skip
        patch.setattr(module, name, value)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.read("minerals")


@pytest.fixture(scope="module")
def found(corpus):
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return explain_convolution(corpus)


def tree_of(context: int = 8, double: bool = True) -> Tree:
    """One whose BatchNorm has seen something, so that it is no identity."""
    tree = Tree(TreeConfig(symbols=9, context=context, embedding=5, hidden=6), seed=1)
    random = stream(context, "statistics")
    with torch.no_grad():
        for norm in tree.norms:
            norm.running_mean.normal_(generator=random)
            norm.running_variance.uniform_(0.5, 2, generator=random)
            norm.gain.normal_(generator=random)
            norm.bias.normal_(generator=random)
        tree.output.weight.normal_(generator=random)
    return (tree.double() if double else tree).eval()


def lines_of(rows: int = 3, long: int = 11) -> torch.Tensor:
    tokens = torch.randint(1, 9, (rows, long), generator=stream(rows, "lines"))
    tokens[:, 0] = 0
    return tokens


@torch.no_grad()
def torchs(tree: Tree, tokens: torch.Tensor) -> torch.Tensor:
    """The tree's weights in torch's own layers: Conv1d, dilated, BatchNorm1d, channels second."""
    x = nn.functional.embedding(tokens, tree.embedding.weight).transpose(1, 2)
    for level, (hidden, norm) in enumerate(zip(tree.hidden, tree.norms)):
        outputs, inputs = hidden.weight.shape
        layer = nn.Conv1d(inputs // 2, outputs, 2, dilation=2**level, bias=False).double()
        layer.weight.copy_(hidden.weight.view(outputs, 2, inputs // 2).transpose(1, 2))
        theirs = nn.BatchNorm1d(outputs).double().eval()
        theirs.weight.copy_(norm.gain)
        theirs.bias.copy_(norm.bias)
        theirs.running_mean, theirs.running_var = norm.running_mean, norm.running_variance
        x = torch.tanh(theirs(layer(x)))
    return x.transpose(1, 2) @ tree.output.weight.T + tree.output.bias


@pytest.mark.parametrize("context", [2, 4, 8, 16])
@pytest.mark.parametrize("way", [by_windows, by_loop, by_convolution, by_queues])
@torch.no_grad()
def test_every_way_gives_the_logits_of_torchs_dilated_convolutions(way, context):
    tree, tokens = tree_of(context), lines_of()
    before = torch.zeros(len(tokens), context - 1, dtype=torch.long)
    wanted = torchs(tree, torch.cat([before, tokens], 1))
    assert (way(tree, tokens) - wanted).abs().max() < 1e-12 < wanted.abs().max()
    assert torch.equal(way(tree, tokens), tree(tokens, tree.begin(len(tokens)))[0]) or way not in (by_windows, by_loop)


@torch.no_grad()
def test_a_kernel_along_a_line_is_torchs_and_ours_without_its_first_places():
    x = torch.randn(2, 9, 3, generator=stream(0, "x"), dtype=torch.float64)
    weight = torch.randn(4, 6, generator=stream(1, "w"), dtype=torch.float64)
    bias = torch.randn(4, generator=stream(2, "b"), dtype=torch.float64)
    for dilation in (1, 2, 4):
        found = along(x, taps(weight), dilation, bias)
        assert torch.allclose(found, convolve(x, taps(weight), bias, dilation=dilation)[:, dilation:], atol=1e-14)
        wanted = np.stack([
            np.concatenate([x[:, t - dilation], x[:, t]], 1) @ weight.numpy().T + bias.numpy()
            for t in range(dilation, 9)
        ], 1)  # fmt: skip
        assert np.allclose(found.numpy(), wanted, atol=1e-14)


@pytest.mark.parametrize("layers, blocks", [(1, 1), (3, 1), (2, 2)])
@torch.no_grad()
def test_wavenet_by_convolutions_and_by_queues_is_its_reading_of_whole_lines(layers, blocks):
    config = WaveNetConfig(symbols=9, width=6, skip=5, layers=layers, blocks=blocks)
    model = WaveNet(config, seed=2).double().eval()
    tokens = lines_of()
    wanted, _ = model(tokens, model.begin(len(tokens)))
    for way in (wavenet_by_convolution, wavenet_by_queues):
        assert (way(model, tokens) - wanted).abs().max() < 1e-14


@pytest.mark.parametrize("context", [2, 8])
def test_rows_are_those_counted_on_paper(context):
    lengths = np.array([1, 3, 3, 12, 7])
    tree = tree_of(context)
    levels, symbols = tree.config.levels, int(lengths.sum())
    rows = {each.way: each.rows for each in walk._evaluations(tree, lengths)}
    assert rows["windows"] == symbols * context, "C/2 + C/4 + ... + 1 rows, and one of logits"
    assert rows["convolution"] == sum(
        sum(long + context - 2**level for level in range(1, levels + 1)) + long for long in lengths
    )
    assert rows["queues"] == symbols * (levels + 1) + levels - 1


def test_all_rows_that_are_counted_go_through_a_layer():
    """What is counted is what the layers were given, and no more."""
    tree, tokens = tree_of(), lines_of()
    for way in (by_windows, by_convolution, by_queues):
        given: list[int] = []
        hooks = [
            layer.register_forward_hook(lambda layer, x, y, given=given: given.append(y.shape[:-1].numel()))
            for layer in (*tree.norms, tree.output)
        ]
        counted: list[int] = []
        way(tree, tokens, counted.append)
        for hook in hooks:
            hook.remove()
        assert sum(counted) == sum(given) > 0


@pytest.mark.parametrize("long", [2, 9, 40])
def test_the_output_sees_as_many_symbols_as_the_window_has(long):
    tree = tree_of()
    found = reach_of(tree, lines_of(1, long)[0], LETTERS)
    assert found.expected == found.by_gradient == found.by_change == list(range(found.places - 8, found.places))
    assert found.later == 0 and [level.dilation for level in found.levels] == [4, 2, 1]
    last = found.places - 1
    assert [level.reads for level in found.levels] == [
        [last], [last - 4, last], [last - 6, last - 4, last - 2, last]
    ]  # fmt: skip
    symbols = ["·" if not i else LETTERS.symbols[i - 1] for i in lines_of(1, long)[0].tolist()][-found.places :]
    assert found.symbols == ["·"] * (found.places - len(symbols)) + symbols


class Early(Slid):
    """Sees one symbol too far ahead."""

    def above(self, x, count=lambda rows: None):
        return super().above(x, count).roll(-1, 1)


class Short(Slid):
    """Of its first kernel, the earlier tap is 0."""

    def __init__(self, tree):
        super().__init__(tree)
        self.kernels[0] = self.kernels[0] * torch.tensor([0.0, 1.0], dtype=torch.float64)


def test_a_network_that_sees_too_much_or_too_little_is_found_out(monkeypatch):
    line = lines_of(1, 30)[0]
    monkeypatch.setattr(reaching, "Slid", Early)
    assert reach_of(tree_of(), line, LETTERS).later > 0
    monkeypatch.setattr(reaching, "Slid", Short)
    found = reach_of(tree_of(), line, LETTERS)
    assert found.by_change == found.by_gradient == found.expected[1::2]


def test_calls_are_those_that_python_makes():
    tokens = lines_of(1, 5)
    assert timing._calls(lambda t: t + t + t, tokens) == 2
    assert timing._calls(lambda t: nn.functional.linear(t.float(), torch.ones(2, 5)), tokens) == 3
    short, long = ({each.way: each.calls for each in calls_of(tree_of(), lines_of(2, n))} for n in (4, 8))
    assert set(short) == set(WAYS) and short["convolution"] == long["convolution"]
    assert long["loop"] - short["loop"] > 4 * 10 and long["loop"] > 4 * long["convolution"]


def test_times_are_medians_of_ways_taken_in_turn(monkeypatch):
    """By a clock that goes a second further at each look, and ways that set it forward."""
    now, turns = [0.0], []

    def taking(name: str, seconds: list[float]):
        def read(tokens):
            turns.append(name)
            now[0] += seconds[turns.count(name) % len(seconds)]

        return lambda tree: read

    monkeypatch.setattr(timing, "WAYS", {"loop": taking("loop", [9, 5, 60]), "convolution": taking("convolution", [2])})
    monkeypatch.setattr(timing, "REPEATS", 3)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    found = timings_of(tree_of(), [lines_of(2, 4)], "cpu")
    assert turns == ["loop", "convolution"] * 4, "once to warm up, then in turn"
    assert [(each.way, each.lines, each.symbols, each.seconds, each.ratio) for each in found.times] == [
        ("loop", 2, 4, 9.0, 4.5), ("convolution", 2, 4, 2.0, 1.0)
    ]  # fmt: skip


def test_on_a_list_all_agree_but_for_rounding(corpus, found):
    lengths = np.array([len(line) + 1 for line in corpus.train])
    assert (found.lines, found.symbols, found.cut) == (len(lengths), lengths.sum(), 0)
    assert 0 < found.compared <= 300 and found.context == 8 and found.levels == 3
    for each in found.same:
        assert each.float64 < 1e-12 * max(each.largest, 1) and each.float32 < 1e-4 * each.largest
    assert [(each.model, each.one, each.other) for each in found.same] == [
        ("tree", "windows", "convolution"), ("tree", "windows", "queues"), ("wavenet", "convolution", "queues")
    ]  # fmt: skip
    assert found.reach.expected == found.reach.by_change == found.reach.by_gradient
    rows = {each.way: each for each in found.evaluations}
    assert rows["windows"].each == 8 > rows["convolution"].each > rows["queues"].each > 4
    texts = {(each.lines, each.symbols) for each in found.calls}
    assert texts == {(each.lines, each.symbols) for each in found.timings.times} and (1, 20) in texts


def test_the_loss_is_the_trees_on_the_lines_compared(corpus, monkeypatch):
    """A tree of no steps, scored line by line by torch."""
    hurry(monkeypatch)
    monkeypatch.setattr(walk, "STEPS", 1)
    found = explain_convolution(corpus, seed=4)
    batches = walk._batches(corpus.alphabet.encode_lines(corpus.train).astype(np.int64))
    assert sum(tokens.numel() for tokens, _ in batches) == found.compared
    shown = [corpus.alphabet.decode(row[1:].tolist()) for tokens, _ in batches for row in tokens]
    assert sorted(shown) == sorted(corpus.train[i] for i in range(len(shown)))
    for tokens, targets in batches:
        assert torch.equal(tokens[:, 1:], targets[:, :-1]) and not tokens[:, 0].any() and not targets[:, -1].any()
    assert 2.5 < found.nats < 4


def test_it_is_the_same_each_time_but_for_times(corpus, monkeypatch):
    hurry(monkeypatch)
    monkeypatch.setattr(walk, "STEPS", 2)
    events = list(measured(corpus, 7))
    assert [event.done for event in events if isinstance(event, Told)] == [0, 1]
    once, again, other = events[-1], explain_convolution(corpus, 7), explain_convolution(corpus, 8)
    assert isinstance(once, Convolution) and json.dumps(once.to_dict(), allow_nan=False)
    assert replace(once, timings=again.timings) == again != replace(other, timings=again.timings)


def test_short_lists_and_long_lines_are_read_too(monkeypatch):
    hurry(monkeypatch)
    one = explain_convolution(Corpus.of(["a"]))
    assert one.lines == 1 and one.compared == one.symbols == 2 and one.reach.symbols[-2:] == ["·", "a"]
    monkeypatch.setattr(walk, "LONGEST", 30)
    long = explain_convolution(Corpus.of(["ab" * 50, "b"]))
    assert long.cut == 1 and long.symbols == 32 and "1 lines were cut" in explained(long)["evaluations"]


def test_the_sentences_say_the_figures(found):
    words = explained(found)
    assert "exactly these places" in words["reach"] and "1 + 1 + 2 + 4 = 8 symbols" in words["reach"]
    wrong = replace(found, reach=replace(found.reach, by_change=[3, 11], later=2))
    assert "a change [3, 11]" in explained(wrong)["reach"] and "moves 2" in explained(wrong)["reach"]
    calls = {each.way: each.calls for each in found.calls[-3:]}
    assert f"{calls['loop']:,} calls become {calls['convolution']}" in concluded(found)[1]
    assert f"median of {timing.REPEATS} readings" not in words["timings"], "three, in this test"


def test_seeds_that_are_none_are_refused(corpus):
    with pytest.raises(UsageError, match="seed=-1"):
        explain_convolution(corpus, -1)
