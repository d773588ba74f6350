"""Lines read in turns: every position is read after the right ones, nothing is padding, equal prefixes are one row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moreish.ops.turns import DEEPEST, WORTH, Reading, in_turns, side_by_side

LINES = st.lists(st.lists(st.integers(1, 3), max_size=9).map(lambda line: [0, *line]), min_size=1, max_size=40)


def laid_out(lines: list[list[int]], symbols: int = 4, share: bool = True) -> Reading:
    tokens, lengths = torch.tensor([s for line in lines for s in line]), torch.tensor([len(line) for line in lines])
    return in_turns(tokens, lengths, symbols, share)


def prefixes_read(reading: Reading) -> list[tuple[int, ...]]:
    """For each row the symbols read up to it, as `before` and, apart from that, as `chosen` have it."""
    by_before, by_chosen = [()], [[()]]
    ids, at = reading.ids.tolist(), 0
    for size, chosen in zip(reading.turns.sizes, reading.turns.chosen):
        rows = range(at, at + size)
        befores = [by_before[reading.turns.before[row]] for row in rows]
        by_before += [(*before, ids[row]) for row, before in zip(rows, befores)]
        last = by_chosen[-1]
        befores = last[:size] if chosen is None else [last[i] for i in chosen.tolist()]
        by_chosen.append([(*before, ids[row]) for row, before in zip(rows, befores)])
        at += size
    assert by_before[1:] == [prefix for turn in by_chosen[1:] for prefix in turn] and at == len(ids)
    return by_before[1:]


@given(LINES, st.booleans())
def test_every_position_is_read_after_what_stands_before_it(lines, share):
    reading = laid_out(lines, share=share)
    read = prefixes_read(reading)
    expected = [tuple(line[: end + 1]) for line in lines for end in range(len(line))]
    assert [read[row] for row in reading.row.tolist()] == expected
    assert sorted(set(reading.row.tolist())) == list(range(reading.turns.rows))  # no row is for nothing


@given(LINES)
def test_turns_that_share_have_each_prefix_once_and_stop_where_few_are_alike(lines):
    reading = laid_out(lines)
    for turn, size in enumerate(reading.turns.sizes):
        alive = [tuple(line[: turn + 1]) for line in lines if len(line) > turn]
        few = len(set(alive)) <= (1 - WORTH) * len(alive)
        if turn >= DEEPEST or not few:
            assert reading.turns.sizes[turn:] == [
                sum(len(x) > t for x in lines) for t in range(turn, max(map(len, lines)))
            ]
            return
        assert size == len(set(alive))


def test_without_sharing_each_line_has_its_own_rows():
    reading = laid_out([[0, 1, 2], [0, 1, 2], [0, 1]], share=False)
    assert reading.turns.sizes == [3, 3, 2] and len(set(reading.row.tolist())) == 8


@pytest.mark.parametrize("symbols", [5, 300, 70_000, 10**9])
def test_ids_as_large_as_an_alphabet_may_be_are_told_apart(symbols):
    high = symbols - 1
    lines = [[0, high, high, high, high, high, 1 + i % 3] for i in range(12)] + [[0, high - 1, high], [0]]
    read = prefixes_read(laid_out(lines, symbols))
    assert set(read) == {tuple(line[: end + 1]) for line in lines for end in range(len(line))}


def test_side_by_side_each_row_goes_on_from_its_own():
    turns = side_by_side(2, 3)
    assert turns.rows == 6
    states = torch.arange(8.0)[:, None]  # two before any symbol, then two a turn
    assert turns.states_before(states)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
