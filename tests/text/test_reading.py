"""The reader of lists: every case of the table in bad_lists.py, and what no table can hold."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
from bad_lists import CASES, Case, as_markdown, long_line
from hypothesis import given, settings
from hypothesis import strategies as st

from moreish.errors import ListError, UsageError
from moreish.text import sources
from moreish.text.lists import bundled
from moreish.text.reading import LONG_LINE, LONGEST_LINE, ReadOptions, ReadReport, blocks, resolve
from quick import checked_before

PAGE = Path(__file__).parents[2] / "docs" / "input.md"


@pytest.fixture
def here() -> Iterator[Path]:
    """An empty working directory, which a user without privileges may enter too."""
    with tempfile.TemporaryDirectory(prefix="moreish-") as name, contextlib.chdir(name):
        directory = Path(name).resolve()
        directory.chmod(0o755)
        yield directory


@contextlib.contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Nothing may hang, not even inside an open()."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"still at it after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def here_for_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for files that are written anew for each example."""
    return tmp_path_factory.mktemp("examples")


def read(source: str | os.PathLike[str], **options: str) -> tuple[list[str], ReadReport]:
    report = ReadReport()
    text = b"".join(blocks(source, ReadOptions(**options), report))  # type: ignore[arg-type]
    return text.decode().split("\n")[:-1], report


def read_more(source: str | os.PathLike[str], **options: str) -> tuple[list[str], ReadReport]:
    """The same for thousands of examples, without the checker of types, under which the table's cases are read."""
    with checked_before():
        return read(source, **options)


def fresh(directory: Path, name: str, content: bytes) -> Path:
    """A file written anew; to truncate the old one would cost milliseconds on file systems that flush then."""
    path = directory / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def said(sentence: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, sentence.split("…"))))


def read_case(case: Case, directory: Path) -> tuple[list[str], ReadReport]:
    try:
        source = case.make(directory)
    except OSError as error:
        if error.errno == errno.EILSEQ:
            pytest.skip("this file system has no such names")
        raise
    report = ReadReport()
    text = b""
    with case.around(), alarm(30):
        for block in blocks(source, ReadOptions(**case.options), report):  # type: ignore[arg-type]
            if case.meanwhile and not text:
                case.meanwhile(directory / source)
            assert block.endswith(b"\n")
            text += block
    lines = text.decode().split("\n")[:-1]
    assert report.lines == len(lines) and report.sha256 == hashlib.sha256(text).hexdigest()
    assert all(lines), "an empty line came through"
    return lines, report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_odd_list_gets_its_verdict(case: Case, here: Path):
    if case.verdict == "refuse":
        with pytest.raises(ListError) as refusal:
            read_case(case, here)
        message = str(refusal.value)
        assert said(case.says).fullmatch(message), message
        assert message.isprintable(), "a message could command the terminal"
        assert refusal.value.exit_code == 1
        return
    lines, report = read_case(case, here)
    if case.lines is not None:
        assert lines == case.lines
    assert {name: getattr(report, name) for name in case.facts} == case.facts
    assert report.warnings == ([case.says] if case.verdict == "warn" else [])
    assert report.name.isprintable()


def test_the_table_is_sound():
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert bool(case.says) == (case.verdict != "accept"), case.name


def test_docs_input_is_current():
    assert PAGE.read_text(encoding="utf-8") == as_markdown(), "run: python tests/text/bad_lists.py > docs/input.md"


def test_a_refusal_does_not_depend_on_where_blocks_are_cut(here: Path, monkeypatch: pytest.MonkeyPatch):
    cases = [c for c in CASES if isinstance(c.content, bytes) and len(c.content) < 300 and c.verdict != "accept"]
    assert len(cases) > 40
    for size in (1, 2, 3, 5):
        monkeypatch.setattr(sources, "CHUNK", size)
        for case in cases:
            if case.verdict == "warn":
                assert said(case.says).fullmatch(" ".join(read_case(case, here)[1].warnings)), (case.name, size)
                continue
            with pytest.raises(ListError) as refusal:
                read_case(case, here)
            # What explains a refusal is told by the file's first chunk, so only the place and byte must agree.
            assert str(refusal.value).split(". ")[0].startswith(case.says.split(". ")[0].split("…")[0]), (
                case.name,
                size,
            )


# Whatever is valid comes back.

character = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SPECIAL = "\n\n\n\r\rab \t\x0b\x1b\x85\u2028\ufeffé\u0301\u0323\u0345\u0f73가\u1100\u1161🏳\u200d😀\U0010ffff"
texts = st.one_of(st.text(character, max_size=30), st.text(st.sampled_from(SPECIAL), max_size=30))


def nfc(lines: list[str]) -> list[str]:
    return [unicodedata.normalize("NFC", line) for line in lines]


def lines_of(text: str) -> list[str]:
    """The lines of a text, by the shortest reading of the promise."""
    lines = (line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n"))
    return [line for line in lines if line]


@given(texts, st.sampled_from([1, 3, 8, 1000]))
@settings(deadline=None, max_examples=6500)
def test_the_lines_of_any_text_come_back_in_nfc(here_for_all: Path, text: str, chunk: int):
    path = fresh(here_for_all, "any.txt", text.encode())
    lines = lines_of(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK", chunk)
        if not lines or ("\n" not in text and "\r" in text):
            with pytest.raises(ListError):
                read_more(path)
            return
        clean, report = read_more(path)
    assert clean == nfc(lines)
    assert report.normalized_lines == sum(old != new for old, new in zip(lines, nfc(lines)))
    assert report.blank_lines == len(text.removeprefix("\ufeff").removesuffix("\n").split("\n")) - len(lines)


@given(texts, st.sampled_from(["utf-16", "utf-32-be", "gb18030", "utf-7"]), st.sampled_from([1, 3, 1000]))
@settings(deadline=None, max_examples=1500)
def test_any_encoding_of_all_characters_comes_back(here_for_all: Path, text: str, encoding: str, chunk: int):
    path = fresh(here_for_all, "encoded.txt", f"first\n{text}".encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK", chunk)
        assert read_more(path, encoding=encoding, normalize="none")[0] == lines_of(f"first\n{text}")


@given(texts)
@settings(deadline=None, max_examples=1000)
def test_columns_and_fields_come_back(here_for_all: Path, text: str):
    values = ["first", *lines_of(text), text]
    expected = [value for value in nfc([re.sub("\r\n|\r|\n", " ", value) for value in values]) if value]
    rows = io.StringIO(newline="")
    csv.writer(rows).writerows([["id", "name"], *enumerate(values)])
    table = fresh(here_for_all, "table.csv", rows.getvalue().encode())
    assert read_more(table, column="name")[0] == expected
    objects = "".join(json.dumps({"name": value}) + "\n" for value in values)
    assert read_more(fresh(here_for_all, "objects.jsonl", objects.encode()), field="name")[0] == expected


@given(
    st.binary(min_size=1, max_size=60), st.sampled_from(["utf-8", "utf-16", "latin-1", "shift_jis", "gb18030", "utf-7"])
)
@settings(deadline=None, max_examples=1000)
def test_any_bytes_are_read_or_refused_with_one_line(here_for_all: Path, content: bytes, encoding: str):
    path = fresh(here_for_all, "bytes.txt", content)
    try:
        lines, _ = read_more(path, encoding=encoding)
    except ListError as refusal:
        assert str(refusal).isprintable()
    else:
        assert all(lines) and (encoding != "utf-8" or content.decode())


@given(
    st.text(
        st.sampled_from("ae\u0301\u0316\u0345\u0323\u0f71\u0f72\u0f73\u0f75\u0f81\u0344\u1e69"),
        min_size=64,
        max_size=200,
    )
)
@settings(deadline=None, max_examples=300)
def test_putting_marks_in_order_changes_no_normal_form(here_for_all: Path, marks: str):
    text = "x" * LONG_LINE + marks
    path = fresh(here_for_all, "marks.txt", text.encode())
    assert read_more(path)[0] == nfc([text])


# What a table cannot say.


def test_an_empty_source_is_refused_after_the_last_block(here: Path):
    (here / "list.txt").write_bytes(b"\n")
    stream = blocks("list.txt")
    with pytest.raises(ListError):
        next(stream)


def test_a_long_line_is_refused_in_little_memory(here: Path):
    source = long_line(50_000_000)(here)
    tracemalloc.start()
    with pytest.raises(ListError):
        list(blocks(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6


def test_a_long_list_is_read_in_little_memory(here: Path):
    (here / "list.txt").write_bytes(b"anna\nbob\ncleopatra\n" * 1_000_000)
    report = ReadReport()
    tracemalloc.start()
    blocks_seen = sum(1 for _ in blocks("list.txt", report=report))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.lines, report.bytes, peak < 16e6) == (3_000_000, 19_000_000, True)
    assert 15 < blocks_seen < 25


def test_lines_of_every_length_pass_or_are_refused_exactly(here: Path):
    for before in (0, 1, 499_999, 500_000, 700_001):
        for size in (LONGEST_LINE, LONGEST_LINE + 1):
            (here / "list.txt").write_bytes(b"b" * before + b"\n" * (before > 0) + b"a" * size + b"\nc\n")
            if size == LONGEST_LINE:
                assert read("list.txt")[1].lines == 2 + (before > 0)
            else:
                with pytest.raises(ListError, match=f"line {1 + (before > 0)}, byte {before + (before > 0)}:"):
                    read("list.txt")


@pytest.mark.parametrize(("encoding", "called"), [("utf-8", "UTF-8"), ("shift_jis", "shift_jis"), ("ascii", "ascii")])
def test_the_place_of_a_bad_byte_is_exact_in_a_long_file(here: Path, encoding: str, called: str):
    before = "あ\n".encode(encoding) if encoding != "ascii" else b"a\n"
    (here / "list.txt").write_bytes(before + b"anna\r\n\n" * 300_000 + b"bo\xff\n")
    with pytest.raises(ListError) as refusal:
        read("list.txt", encoding=encoding)
    assert str(refusal.value).startswith(
        f"list.txt, line 600002, byte {2_100_002 + len(before)}: 0xff is not {called}."
    )


def test_a_reader_that_stops_early_closes_the_file(here: Path):
    (here / "list.txt").write_bytes(b"anna\n" * 1_000_000)
    stream = blocks("list.txt")
    next(stream)
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("this system does not list open files under /proc")
    is_open = [str(here / "list.txt") == os.path.realpath(entry) for entry in descriptors.iterdir()]
    stream.close()
    assert sum(is_open) == 1
    assert not any(str(here / "list.txt") == os.path.realpath(entry) for entry in descriptors.iterdir())


def test_the_same_text_has_one_fingerprint(here: Path):
    ways = (
        ("a.txt", "José\nanna\n".encode(), {}),
        ("b.txt", "\ufeffJose\u0301\r\n\r\nanna".encode(), {}),
        ("c.txt", "José\nanna\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("d.csv", "name,id\nJosé,1\nanna,2\n".encode(), {"column": "name"}),
    )
    prints = set()
    for name, content, options in ways:
        (here / name).write_bytes(content)
        prints.add(read(name, **options)[1].sha256)
    assert prints == {hashlib.sha256("José\nanna\n".encode()).hexdigest()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "utf8"}, ""),
        ({"encoding": "UTF-8-SIG"}, ""),
        ({"encoding": "latin1"}, ""),
        ({"encoding": "cp1253"}, ""),
        ({"encoding": "latin-l"}, "no encoding of text is called 'latin-l'. Did you mean 'latin-1'?"),
        ({"encoding": ""}, "no encoding of text is called ''."),
        ({"encoding": "a\0b"}, "no encoding of text is called"),
        ({"encoding": "rot13"}, "no encoding of text is called 'rot13'."),
        ({"encoding": "hex"}, "no encoding of text is called 'hex'."),
        ({"encoding": "idna"}, "no encoding of text is called 'idna'."),
        ({"column": "a", "field": "b"}, "both are given. Give one of them."),
    ],
)
def test_options_are_checked_when_they_are_made(options: dict[str, str], words: str):
    if not words:
        ReadOptions(**options)  # type: ignore[arg-type]
        return
    with pytest.raises(UsageError, match=re.escape(words)) as refusal:
        ReadOptions(**options)  # type: ignore[arg-type]
    assert refusal.value.exit_code == 2 and str(refusal.value).isprintable()


def test_an_unknown_normal_form_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users do not run under the tests' type checker
    with pytest.raises(UsageError, match=re.escape("no normal form is called 'NFD' here. There are: NFC, none.")):
        ReadOptions(normalize="NFD")  # type: ignore[arg-type]


def test_sources_are_named_and_found(here: Path):
    (here / "list.txt").write_bytes(b"anna\n")
    assert resolve("list.txt") == ("list.txt", Path("list.txt"))
    assert resolve(here / "list.txt") == (str(here / "list.txt"), here / "list.txt")
    assert resolve("-") == ("standard input", None)
    assert resolve("names") == ("names", bundled()["names"].path)
    (here / "names").mkdir()
    assert resolve("names")[1] == bundled()["names"].path, "a directory is no list of that name"


def test_bundled_lists_are_clean_and_described():
    assert {"names", "towns", "dinosaurs"} <= set(bundled())
    for name, entry in bundled().items():
        lines, report = read(name)
        assert (report.name, report.lines, report.blank_lines, report.normalized_lines) == (name, entry.lines, 0, 0)
        assert not report.warnings and not report.crlf_lines and len(set(lines)) == len(lines)
        assert entry.title and entry.source


def test_the_reader_loads_no_torch():
    code = "import sys, moreish.text.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
