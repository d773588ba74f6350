"""Symbols to ids and back: any Unicode line comes back as it was, and what an alphabet lacks is named."""

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from moreish.errors import AlphabetError, UsageError
from moreish.text import lines as lines_module
from moreish.text.alphabet import KINDS, Alphabet, printable, split_symbols
from moreish.text.lines import Lines

PROMISED = settings(max_examples=1000)
"""R12, 10,000 generated examples: 4,000 lines here, each by four kinds of symbol; the rest with the reader."""
COMMON = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=10)
# Marks, joiners, flags, Hangul jamo, viramas, carriage returns, odd spaces: what clusters are made and broken by.
CLUSTERED = st.text("ae \r\t\x00\u00e9\u0301\u0308\u200d\ufe0f👩👧🇦🇧🇨ᄀ각क्षि\u2028\u0600נ", min_size=1, max_size=10)
LINE = st.one_of(COMMON, CLUSTERED)
LISTS = st.lists(LINE, min_size=1, max_size=4)
HARD = [
    "emma",
    " a  b ",
    "",
    "·",
    ".",
    "\r",
    "a\r",
    "e\u0301e\u0301",
    "👩‍👩‍👧 🇦🇧",
    "名前",
    "\x7f\x80ÿĀ",
    "\U0010ffff",
    "\u2028",
]


def check_round_trips(texts: list[str], kind: str) -> None:
    lines = Lines.of(texts)
    alphabet = Alphabet.of(lines, kind)
    rows = [alphabet.encode(text) for text in texts]
    assert [alphabet.decode(row) for row in rows] == texts
    width = max(map(len, rows)) + 1
    ids = np.zeros((len(rows), width), dtype=np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        ids[i, len(row) :] = len(alphabet) - 1  # what stands beyond a line's length must not matter
    assert alphabet.decode_rows(ids, np.array(list(map(len, rows)))) == texts
    stream = alphabet.encode_lines(lines)
    assert stream.tolist() == [0, *(i for row in rows for i in (*row, 0))]
    assert set(stream.tolist()) == set(range(len(alphabet)))


@PROMISED
@given(st.tuples(LINE, LINE, LINE, LINE))
def test_any_lines_come_back_as_they_were(texts):
    for kind in KINDS:
        check_round_trips(list(texts), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_hard_lines_come_back_wherever_blocks_end(kind, block, monkeypatch):
    monkeypatch.setattr(lines_module, "BLOCK", block)
    check_round_trips([text for text in HARD if text], kind)


@pytest.mark.parametrize("size", [1, 9, 126, 127, 128, 253, 254, 255, 256, 65_533, 65_534, 65_535])
def test_ids_survive_at_the_edges_of_their_types(size):
    symbols = [chr(c) for c in range(0x20, 0x20 + size + 2048) if not 0xD800 <= c < 0xE000][:size]
    lines = Lines.of(["".join(symbols), symbols[-1], symbols[0]])
    alphabet = Alphabet.of(lines)
    assert len(alphabet) == size + 1
    assert alphabet.encode_lines(lines).tolist() == [0, *range(1, size + 1), 0, size, 0, 1, 0]
    lacking = Alphabet("characters", alphabet.symbols[:-1]) if size > 1 else Alphabet("characters", ("\U0001f600",))
    with pytest.raises(AlphabetError):
        lacking.encode_lines(lines)


@pytest.mark.parametrize(
    "kind, texts, symbols",
    [
        ("characters", ["cab", "é a"], [" ", "a", "b", "c", "é"]),
        ("graphemes", ["e\u0301e", "🇦🇧🇨"], ["e", "e\u0301", "🇦🇧", "🇨"]),
        ("words", ["new york", "york  new "], ["", "new", "york"]),
        ("words", ["\u00a0a\tb"], ["\u00a0a\tb"]),  # single spaces only: a line comes back exactly
        ("bytes", ["é"], ["\xa9", "\xc3"]),
    ],
)
def test_an_alphabet_is_the_symbols_that_stand_in_the_lines_sorted(kind, texts, symbols):
    assert Alphabet.of(Lines.of(texts), kind).symbols == tuple(symbols)


@given(LISTS)
def test_symbols_are_pythons_own_and_graphemes_are_unicodes(texts):
    lines = Lines.of(texts)
    for kind, split in {
        "characters": list,
        "graphemes": lambda text: regex.findall(r"\X", text),
        "words": lambda text: text.split(" "),
        "bytes": lambda text: [chr(b) for b in text.encode()],
    }.items():
        assert Alphabet.of(lines, kind).symbols == tuple(sorted({s for text in texts for s in split(text)}))
        assert all(split_symbols(text, kind) == split(text) for text in texts)


LACKING = [
    ("characters", ["soJ", "José"], "Jos", "é", 4),
    ("characters", ["emma"], "em", "a", 4),
    ("characters", ["a名"], "a", "名", 2),
    ("characters", ["a\x1b[31m"], "a", "\\x1b", 2),
    ("graphemes", ["ae\u0301"], "ae", "e\u0301", 2),
    ("words", ["new york"], "new", "york", 2),
    ("bytes", ["aé"], "a", "Ã", 2),
]


@pytest.mark.parametrize("kind, texts, known, symbol, position", LACKING)
def test_an_error_names_the_symbol_and_its_position(kind, texts, known, symbol, position):
    alphabet = Alphabet(kind, tuple(known.split() if kind == "words" else sorted(set(known) | {"-", "z"})))
    for attempt in (lambda: alphabet.encode(texts[-1]), lambda: alphabet.encode_lines(Lines.of(texts))):
        with pytest.raises(AlphabetError) as error:
            attempt()
        assert f"{symbol!r}" in str(error.value) or f"'{symbol}'" in str(error.value)
        assert f"(position {position})" in str(error.value)
        assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a\ud800", "a\nb", "\x00", "·"])
def test_text_that_no_list_can_hold_is_lacking_too(kind, text):
    alphabet = Alphabet.of(Lines.of(["ab", "b a"]), kind)
    with pytest.raises(AlphabetError):
        alphabet.encode(text)


def test_a_long_line_is_shown_short_in_an_error():
    with pytest.raises(AlphabetError) as error:
        Alphabet("characters", ("a",)).encode("a" * 100_000 + "b")
    assert len(str(error.value)) < 400 and "(position 100001)" in str(error.value)


def test_an_unknown_kind_and_a_symbol_twice_are_refused(types_unchecked):
    with pytest.raises(UsageError, match="syllables"):
        Alphabet("syllables", ("a",))
    with pytest.raises(AlphabetError, match="twice"):
        Alphabet("characters", ("a", "a"))


def test_bytes_that_break_off_inside_a_character_still_decode():
    alphabet = Alphabet.of(Lines.of(["é€"]), "bytes")
    ids = alphabet.encode("é€")
    rows = np.array([[*ids[:1], 0, 0, 0, 0], ids, [*ids[2:4], *ids[:2], 0]])
    lengths = np.array([1, 5, 4])
    expected = [alphabet.decode(row[:n]) for row, n in zip(rows.tolist(), lengths.tolist())]
    assert alphabet.decode_rows(rows, lengths) == expected == ["\ufffd", "é€", "\ufffdé"]


def test_no_rows_and_empty_lines_decode():
    alphabet = Alphabet("characters", ("a", "b"))
    assert alphabet.decode_rows(np.zeros((0, 3), np.int32), np.zeros(0, np.int64)) == []
    assert alphabet.decode_rows(np.zeros((2, 0), np.int32), np.zeros(2, np.int64)) == ["", ""]
    assert alphabet.decode([]) == ""


def test_a_thousand_marks_on_one_base_are_one_grapheme():
    check_round_trips(["z" + "\u0301" * 1000, "z"], "graphemes")


def test_description_and_printing_keep_a_terminal_safe():
    alphabet = Alphabet("characters", tuple(chr(c) for c in range(1, 200)))
    assert alphabet.describe().startswith("199: \\x01") and alphabet.describe().endswith("…")
    assert alphabet.describe().isprintable()
    assert printable("a\x1b\u202e\U000e0001é") == "a\\x1b\\u202e\\ue0001é"


def test_an_accent_as_a_character_of_its_own_is_put_together():
    composed = Alphabet("characters", ("e", "j", "o", "s", "é"))
    assert composed.spelling("jose\u0301") == "josé" and composed.spelling("jose") == "jose"
    assert composed.spelling("joa\u0301") == "joa\u0301"  # á is not there either: the error names what was typed
    apart = Alphabet("characters", ("e", "s", "\u0301"))
    assert apart.spelling("e\u0301") == "e\u0301"
