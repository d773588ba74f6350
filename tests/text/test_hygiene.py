"""The doctor for lists, held against Python's own sets, counters, shuffle and Unicode tables."""

import json
import os
import random
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from moreish.errors import ListError
from moreish.text import lines as lines_module
from moreish.text import tally
from moreish.text.folding import STROKES, folded_hashes, is_hidden, symbol_name
from moreish.text.hashing import line_hashes
from moreish.text.hygiene import Hygiene, inspect, inspect_lines, lecture_leak
from moreish.text.lines import Lines
from moreish.text.reading import ReadOptions

NAMES = Path(os.environ.get("NAMES", Path(__file__).parents[2] / "../shared/data/names.txt"))
needs_names = pytest.mark.skipif(not NAMES.is_file(), reason=f"names.txt is not at {NAMES}: set NAMES to its path")

PATIENT = settings(deadline=None)
"""However busy the machine."""
LINE = st.text(st.sampled_from("aAéÉeß -'.,!ø名\u0301\u200b\u00a0\t"), min_size=1, max_size=6)


def python_fold(line: str) -> str:
    """A line as its look-alikes have it, or the line itself where nothing is left (for the symbols of LINE)."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", line).casefold())
    kept = [STROKES.get(c, c) for c in text if unicodedata.category(c) not in ("Mn", "Cc", "Cf")]
    return "".join(c for c in kept if unicodedata.category(c)[0] not in "PZ") or line


def python_leak(lines: list[str]) -> dict[str, float]:
    """As the lectures split: `random.seed(42); random.shuffle(words)`."""
    words = list(lines)
    random.seed(42)
    random.shuffle(words)
    one, two = int(0.8 * len(words)), int(0.9 * len(words))
    train = set(words[:one])
    parts = {"dev": words[one:two], "test": words[two:]}
    return {name: sum(word in train for word in part) / max(1, len(part)) for name, part in parts.items()}


def look_at(*lines: str) -> Hygiene:
    return inspect_lines(Lines.of(lines))


# Figures


@PATIENT
@given(lines=st.lists(LINE, min_size=1, max_size=40), block=st.sampled_from([1, 16, 1 << 20]))
@example(lines=["a"], block=1)
def test_every_count_is_what_python_counts(lines, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK", block)
        found = inspect_lines(Lines.of(lines), name="some")
    unique = set(lines)
    counts = Counter(lines)
    assert (found.name, found.lines, found.unique_lines) == ("some", len(lines), len(unique))
    assert found.duplicate_lines == len(lines) - len(unique)
    repeated = [(line, n) for line, n in counts.most_common(5) if n > 1]  # ties in the order of the list
    assert list(found.most_repeated.items()) == repeated
    assert found.look_alikes == len(unique) - len({python_fold(line) for line in unique})
    assert found.lengths == dict(sorted(Counter(map(len, lines)).items()))
    assert (found.shortest, found.longest) == (min(map(len, lines)), max(map(len, lines)))
    assert found.mean_length == pytest.approx(sum(map(len, lines)) / len(lines))
    assert found.symbols == dict(Counter("".join(lines)))
    assert list(found.symbols.values()) == sorted(found.symbols.values(), reverse=True)
    assert found.white_space_lines == sum(line != line.strip() for line in lines)
    assert found.leak == pytest.approx(python_leak(lines))
    assert {odd.symbol for odd in found.control_symbols} == set("".join(lines)) & set("\u200b\u00a0\t")


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 1999])
def test_the_leak_is_that_of_the_lectures_shuffle(count):
    lines = [str(i * i % 700) for i in range(count)]
    assert lecture_leak(line_hashes(Lines.of(lines))) == python_leak(lines)


@needs_names
def test_names_have_their_known_figures():
    found = inspect(NAMES)
    assert (found.lines, found.unique_lines, found.duplicate_lines) == (32_033, 29_494, 2_539)
    assert {part: round(share, 3) for part, share in found.leak.items()} == {"dev": 0.132, "test": 0.118}
    assert (found.longest, len(found.symbols), found.look_alikes) == (15, 26, 0)
    assert not found.rare_symbols and not found.control_symbols and not found.white_space_lines
    (warning,) = found.warnings  # near neighbours and the rarity of q are the nature of names
    assert "13.2 %" in warning and "11.8 %" in warning and "--split unique" in warning


@needs_names
def test_typos_of_names_are_those_of_brute_force():
    found = inspect(NAMES)
    long = [line for line in dict.fromkeys(NAMES.read_text().split()) if len(line) >= 12]
    near = {frozenset((a, b)) for a in long for b in long if Levenshtein.distance(a, b, score_cutoff=1) == 1}
    again = inspect_lines(Lines.of(long))
    assert again.probable_typos == len(near)
    assert {frozenset(pair) for pair in again.probable_typo_examples} <= near
    assert found.probable_typos is not None and found.probable_typos > len(near)


def test_long_lines_are_counted_by_length_too():
    found = look_at("ab" * 700, "c" * 1023, "d" * 1024, "é" * 1400)
    assert found.lengths == {1023: 1, 1024: 1, 1400: 2}


def test_typos_are_not_looked_for_beyond_what_is_kept(monkeypatch):
    monkeypatch.setattr(tally, "KEPT_LINES", 3)
    monkeypatch.setattr(lines_module, "BLOCK", 1)
    found = look_at("Christine", "Christina", "Kristina", "Katherina", "Kristina", "KRISTINA")
    assert found.probable_typos is None and found.near_share is None
    assert found.probable_typos_reason == "there are more than 3 different lines"
    assert (found.unique_lines, found.look_alikes, found.most_repeated) == (5, 1, {"Kristina": 2})
    monkeypatch.setattr(tally, "KEPT_LINES", 100)
    monkeypatch.setattr(tally, "KEPT_BYTES", 20)
    reason = look_at("Christine", "Christina", "Kristina").probable_typos_reason
    assert reason is not None and reason.startswith("the different lines take more than")


# Look-alikes


@pytest.mark.parametrize(
    ("line", "other", "alike"),
    [
        ("Anne Marie", "anne-marie", True),
        ("José", "JOSE", True),
        ("O'Neil", "O\u2019Neil", True),
        ("O`Neil", "O\u00b4Neil", True),
        ("Straße", "STRASSE", True),
        ("Łódź", "lodz", True),
        ("Ada\u200b", "Ada", True),
        ("ﬁne", "fine", True),
        ("１２", "12", True),
        ("Ada\u00a0Lovelace", "Ada Lovelace", True),
        ("\u1d2c\u1d2c", "aa", True),
        ("नील", "नाल", False),  # the vowels of India are marks, but no accents
        ("क\u094d", "क", False),
        ("か", "が", False),
        ("が", "か\u3099", True),
        ("각", "\u1100\u1161\u11a8", True),
        ("שָׁלוֹם", "שלום", True),
        ("مُحَمَّد", "محمد", True),
        ("❤\ufe0f", "❤", True),
        ("C++", "C", False),
        ("!", "?", False),
        ("...", "..", False),
        ("Ada", "Adá-", True),
        ("名", "各", False),
        ("Ada", "Aba", False),
    ],
)
def test_what_looks_alike(line, other, alike):
    found = look_at("neither", line, other)
    assert found.look_alikes == alike
    assert found.look_alike_examples == ([[line, other]] if alike else [])


@PATIENT
@given(st.lists(LINE, min_size=1, max_size=8))
def test_folding_a_block_is_folding_its_lines(lines):
    block = "".join(f"{line}\n" for line in lines).encode()
    folded = folded_hashes(block, line_hashes(Lines.of(lines)))
    assert len({*zip(folded.tolist(), map(python_fold, lines))}) == len(set(folded.tolist()))
    assert len(set(folded.tolist())) == len(set(map(python_fold, lines)))


def test_a_line_of_many_marks_takes_no_time_to_fold():
    accents = "\u0301\u0316" * 100_000  # sorting them one by one takes minutes
    voicing = "\u3099\u094d" * 100_000
    found = look_at("e" + accents, "e", "か" + voicing, "カ" + voicing)
    assert found.look_alike_examples == [["e" + accents, "e"]]


def test_examples_of_look_alikes_are_the_first_groups():
    groups = [[f"{letter}{end}" for end in ("", "!", "-")] for letter in "zyxwvut"]
    found = inspect_lines(Lines.of([line for group in groups for line in group]))
    assert (found.look_alikes, found.look_alike_examples) == (14, groups[:5])


# Warnings

MANY = [f"{word}{tail}" for word in ("alba", "brecon", "conwy") for tail in "abcdefghijklmnopqrst"]
MANY += ["aberystwyth", "caernarfon", "llandudno", "trawsfynydd"]
"""Many lines with nothing amiss."""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], None),
        (["albaa"], "1 of 65 lines (1.5 %) repeat an earlier one"),
        (["ALBA-A"], "1 line differs from another only in case, accents, punctuation or spaces, such as 'albaa' and"),
        (["llanberis", "llamberis"], "1 pair of long lines is one edit apart, such as 'llanberis'"),
        (["zero\u200bwidth"], "1 symbol cannot be seen, or not told from a space: ZERO WIDTH SPACE (U+200B, 1 time)"),
        (["\u202eoverride"], "RIGHT-TO-LEFT OVERRIDE (U+202E"),
        (["escape\x1b[31m"], "ESCAPE (U+001B"),
        (["no\u00a0break"], "NO-BREAK SPACE (U+00A0"),
        (["private\ue000"], "PRIVATE USE-E000 (U+E000"),
        (["\u0645\u06cc\u200c\u0634\u0648\u062f"], None),  # Persian is written with joiners
        (["👩\u200d🚀"], None),
        ([" space"], "1 line begins or ends with white space"),
        (["space\u3000"], "1 line begins or ends with white space"),
        (["lost\ufffd"], "U+FFFD, the mark of a failed conversion, stands in it 1 time"),
        (["<b>\x07</b>", "<B>\x07</B>"], r"'<b>\x07</b>' and '<B>\x07</B>'"),
    ],
)
def test_each_fault_has_its_warning(lines, said):
    warnings = inspect_lines(Lines.of([*MANY, *lines])).warnings
    assert bool(warnings) == (said is not None)
    assert said is None or any(said in warning for warning in warnings)
    assert all(warning.isprintable() for warning in warnings)


def test_near_pairs_are_no_fault_where_they_are_common():
    found = inspect_lines(Lines.of([f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]))
    assert found.probable_typos and found.near_share == 1.0 and not found.warnings


def test_rare_symbols_are_named_in_long_lists_only():
    lines = [f"{i:04}" for i in range(1200)]
    assert inspect_lines(Lines.of([*lines, "xyy", "yy"])).rare_symbols == {"x": 1}
    assert inspect_lines(Lines.of([*lines[:900], "xyy", "yy"])).rare_symbols == {}


def test_hidden_symbols_and_their_names():
    assert all(map(is_hidden, "\x00\t\x7f\xa0\xad\u200b\u2028\u2066\u3164\ufeff\ue000\U000e0041"))
    assert not any(map(is_hidden, " \u3000aé\u0301名🦕"))
    assert symbol_name("\t") == "TAB" and symbol_name("\x01") == "CONTROL-0001" and symbol_name("é").endswith("ACUTE")


# Sources


def test_a_file_is_examined_as_its_lines_are(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffJosé\r\nJose\u0301\n\nmia\nMIA\n".encode())
    found, again = inspect(path), inspect_lines(Lines.of(["José", "José", "mia", "MIA"]))
    assert found.name == str(path)
    assert found.reading["blank_lines"] == 1 and found.reading["bom"] and found.reading["normalized_lines"] == 1
    assert found.warnings[-2:] == again.warnings
    assert {**vars(found), "name": "", "reading": {}, "warnings": []} == {**vars(again), "name": "", "warnings": []}


def test_faults_are_told_once_though_the_reader_tells_some(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("be\x07ll\nlost\ufffd\n")
    found = inspect(path, ReadOptions())
    assert sum("ontrol" in warning or "BELL" in warning for warning in found.warnings) == 1
    assert sum("U+FFFD" in warning for warning in found.warnings) == 1
    assert [odd.name for odd in found.control_symbols] == ["BELL"]


def test_standard_input_is_read_once(tmp_path):
    code = "from moreish.text.hygiene import inspect; print(inspect('-').most_repeated)"
    run = subprocess.run([sys.executable, "-c", code], input=b"mia\nada\nada\n", capture_output=True, check=True)
    assert run.stdout.decode().strip() == "{'ada': 2}"


def test_no_lines_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"\n\n")
    for refused in (lambda: inspect(tmp_path / "empty.txt"), lambda: inspect_lines(Lines.of([]), "nothing")):
        with pytest.raises(ListError, match="has no lines"):
            refused()


def test_the_dictionary_is_json():
    found = look_at("Ada", "ada", "Ada", "zero\u200bwidth")
    again = json.loads(json.dumps(found.to_dict()))
    assert {"lines", "unique_lines", "duplicate_lines", "look_alikes", "longest", "symbols", "warnings"} <= set(again)
    assert set(again["leak"]) == {"dev", "test"}
    assert again["control_symbols"] == [{"symbol": "\u200b", "code": "U+200B", "name": "ZERO WIDTH SPACE", "count": 1}]


def test_inspecting_loads_no_torch_and_takes_little_memory(tmp_path):
    """A million lines, a third of them repeats: 48 MiB for hashes and text, over what an empty process takes."""
    path = tmp_path / "list.txt"
    letters = np.random.default_rng(0).integers(97, 123, (1_000_000, 6), dtype=np.uint8)
    letters[600_000:] = letters[:400_000]
    letters[:, 5] = 10
    path.write_bytes(letters.tobytes())
    code = f"""
import json, resource, sys
import moreish.text.hygiene as hygiene
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = used()
found = hygiene.inspect({str(path)!r})
print(json.dumps([found.lines, "torch" in sys.modules, used() - before]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    lines, torch, grown = json.loads(run.stdout)
    assert (lines, torch) == (1_000_000, False)
    assert grown < 120 << 20
