"""Lines against Python's own lists of strings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moreish.text import lines as lines_module
from moreish.text.lines import Lines, line_starts

LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)
LISTS = st.lists(LINE, max_size=12)
TRICKY = [
    "",
    "a",
    "é",
    "名前",
    "e\u0301",
    "a\rb\r",
    "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029",
    "👩‍👩‍👧",
    "\ufeffb",
    "",
    "a\tb ",
    "\x00",
]


@pytest.fixture(params=["whole", "borders in every place"])
def block(request, monkeypatch):
    if request.param != "whole":
        monkeypatch.setattr(lines_module, "BLOCK", 3)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["emma"], TRICKY, ["x" * 100, "", "é" * 50, "y"]])
def test_lines_are_the_strings_they_were_made_of(texts, block):
    lines = Lines.of(texts)
    assert list(lines) == texts == lines.texts()
    assert len(lines) == len(texts)
    assert [lines[i] for i in range(len(texts))] == texts
    assert [lines[i] for i in range(-len(texts), 0)] == texts
    assert lines.lengths().tolist() == [len(text) for text in texts]
    assert b"".join(lines.blocks()) == "".join(text + "\n" for text in texts).encode()
    for at in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            lines[at]


@given(LISTS, st.data())
def test_taking_and_slicing_is_as_a_list_does_it(texts, data):
    lines = Lines.of(texts)
    cut = data.draw(st.slices(len(texts))) if texts else slice(0, 5)
    assert list(lines[cut]) == texts[cut]
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=20)) if texts else []
    assert list(lines.take(np.array(chosen, dtype=np.int64))) == [texts[i] for i in chosen]


@given(LISTS, st.integers(1, 40))
def test_blocks_end_where_lines_end_whatever_their_size(texts, size):
    lines = Lines.of(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK", size)
        blocks = list(lines.blocks())
    assert all(block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks) == lines.data.tobytes()


@given(LISTS)
def test_code_points_are_pythons(texts):
    codes, starts = Lines.of(texts).codepoints()
    assert [chr(c) for c in codes] == list("".join(text + "\n" for text in texts))
    assert starts.tolist() == [sum(len(t) + 1 for t in texts[:i]) for i in range(len(texts) + 1)]
    assert line_starts(codes).tolist() == starts.tolist()


def test_take_of_more_lines_than_one_slice_of_its_work():
    texts = [str(i) for i in range(1000)]
    chosen = np.arange(140_000) * 7 % 1000
    assert Lines.of(texts).take(chosen).texts() == [texts[i] for i in chosen]


def test_streamed_lines_load_only_when_their_text_is_asked_for():
    reads = []

    def reread():
        reads.append(1)
        yield b"emma\n"
        yield "é\nava\n".encode()

    lines = Lines(reread=reread, count=3)
    assert (len(lines), repr(lines), lines.in_memory, len(reads)) == (3, "Lines(3)", False, 0)
    assert list(lines) == ["emma", "é", "ava"]
    assert not lines.in_memory and len(reads) == 1
    assert lines[1] == "é"
    assert lines.in_memory and len(reads) == 2
    assert list(lines.blocks()) == ["emma\né\nava\n".encode()]
    assert lines[2] == "ava" and len(reads) == 2


def test_lines_are_equal_when_their_texts_are():
    assert Lines.of(["a", "b"]) == Lines.of(["a", "b"])
    assert Lines.of(["a", "b"]) != Lines.of(["ab"])
    assert Lines.of(["a"]) != ["a"]
    with pytest.raises(TypeError):
        hash(Lines.of(["a"]))
