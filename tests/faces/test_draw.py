"""Pictures in text: what is drawn is what was given, whatever the width."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from moreish.faces.draw import EIGHTHS, bar, count_table, heat, histogram, sign


def cells(text: str) -> float:
    """How long a bar is, in cells."""
    return sum(1.0 if c == "█" else EIGHTHS.index(c) / 8 for c in text)


@given(st.floats(-2, 3), st.integers(1, 200))
def test_a_bar_is_as_long_as_its_share(share, width):
    drawn = bar(share, width)
    assert len(drawn) <= width
    assert cells(drawn) == pytest.approx(min(max(share, 0), 1) * width, abs=1 / 16 + 1e-9)


@given(st.dictionaries(st.integers(1, 3000), st.integers(1, 10**9), max_size=60), st.integers(1, 40))
def test_a_histogram_counts_everything_once(counts, most_rows):
    rows = histogram(counts, width=30, most_rows=most_rows)
    assert len(rows) <= most_rows and sum(count for _, count, _ in rows) == sum(counts.values())
    covered = []
    for label, count, drawn in rows:
        low, _, high = label.partition("-")
        span = range(int(low), int(high or low) + 1)
        covered += span
        assert count == sum(counts.get(n, 0) for n in span) and len(drawn) <= 30
        assert (drawn != "") == (count > 0), "what is there shows, however little"
    assert covered == (list(range(min(counts), max(counts) + 1)) if counts else [])
    if rows:
        assert max(cells(drawn) for _, _, drawn in rows) == 30


def test_colours_are_legible_and_deepen():
    def brightness(colour: str) -> float:
        rgb = [int(n) for n in colour[4:-1].split(",")] if colour.startswith("rgb") else [int(colour[1:3], 16)] * 3
        linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    before = 1.0
    for step in range(101):
        background, foreground = (brightness(colour) for colour in heat(step / 100))
        contrast = (max(background, foreground) + 0.05) / (min(background, foreground) + 0.05)
        assert contrast >= 4.5, f"share {step / 100}: contrast {contrast:.2f}"  # WCAG 2, AA
        assert background < before or step == 0
        before = background
    assert heat(-1) == heat(0) and heat(2) == heat(1)


def printed(text, width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(text, soft_wrap=True)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [1, 20, 60, 100, 140, 300])
@pytest.mark.parametrize("colour", [True, False])
def test_a_table_is_aligned_and_holds_each_count(width, colour):
    labels = ["·", "a", "b", "日", "本", "◌\u0301", "é", "ab", "abcd", "\\x85", "␣", ""]
    chooser = random.Random(1)
    counts = [[chooser.choice([0, 0, 3, 47, 980]) for _ in labels] for _ in labels]
    table = count_table(counts, labels, width, colour)
    head, *rows = [line for line in table.plain.split("\n") if line]
    assert len(rows) == len(labels)
    wide = {cell_len(line) for line in (head, *rows)}
    assert len(wide) == 1, "all lines are of one width"
    size = (wide.pop() - 3) // len(labels)
    assert size * len(labels) + 4 <= width or size == (2 if colour else 6)
    if size > 2:
        for row, line in zip(counts, rows):
            body = line[len(line) - size * len(labels) :]
            assert [body[i : i + size].strip() for i in range(0, len(body), size)] == [str(n or "") for n in row]


@pytest.mark.parametrize(("count", "shown"), [
    (1, "1"), (999, "999"), (1000, "1k"), (98_765, "99k"), (999_400, "1M"), (12_000_000, "12M"), (3 * 10**9, "3G"),
    (10**13, "#"),
])  # fmt: skip
def test_large_counts_are_cut_to_the_cell(count, shown):
    table = count_table([[count]], ["a"], 9, True)  # cells of six columns would leave room for five digits
    narrow = count_table([[count] * 20] * 20, ["a"] * 20, 84, True)
    assert narrow.plain.split("\n")[1].split()[1] == shown
    assert len(table.plain.split("\n")[1].split()[1]) <= 5


def test_empty_tables_and_rows():
    assert count_table([], [], 80).plain.strip() == ""
    assert "1" not in count_table([[0, 0], [0, 0]], ["a", "b"], 80).plain
    assert histogram({}) == []


@given(st.text(max_size=3))
def test_a_sign_is_always_visible(symbol):
    shown = sign(symbol)
    assert shown.isprintable() and (shown.strip() or not symbol.strip(" "))


@pytest.mark.parametrize(("symbol", "shown"), [
    ("a", "a"), ("日", "日"), (" ", "␣"), ("\t", "␉"), ("\x00", "␀"), ("\x1b", "␛"), ("\x7f", "\\x7f"),
    ("\u0301", "◌\u0301"), ("e\u0301", "e\u0301"), ("\u200b", "\\u200b"), ("\u202e", "\\u202e"), ("", ""),
    ("[red]", "[red]"),
])  # fmt: skip
def test_the_sign_of(symbol, shown):
    assert sign(symbol) == shown
