"""Splits against plain Python, line for line; and what a corpus says when it cannot be had."""

import hashlib
import random
import subprocess
import sys

import numpy as np
import pytest

from moreish.errors import ListError, UsageError
from moreish.randomness import shuffled
from moreish.text.corpus import SPLITS, Corpus, split_lines
from moreish.text.lines import Lines


def some_lines(count: int, unique: int, seed: int = 1) -> list[str]:
    """`count` lines of which `unique` are different, in no order; some are not ASCII."""
    pool = [f"{'é' if i % 7 == 0 else 'x'}{i * 7919 % 99_991}" for i in range(unique)]
    lines = pool + random.Random(seed).choices(pool, k=count - unique)
    random.Random(seed + 1).shuffle(lines)
    return lines


def parts(corpus: Corpus) -> tuple[list[str], list[str], list[str]]:
    return list(corpus.train), list(corpus.dev), list(corpus.test)


def cut(lines: list[str]) -> tuple[list[str], list[str], list[str]]:
    one, two = int(0.8 * len(lines)), int(0.9 * len(lines))
    return lines[:one], lines[one:two], lines[two:]


@pytest.mark.parametrize("count, unique", [(200, 200), (201, 201), (999, 300), (5000, 4321)])
@pytest.mark.parametrize("seed", [42, 0, 7, 2**40])
def test_the_unique_split_is_plain_pythons(count, unique, seed):
    lines = some_lines(count, unique)
    expected = list(dict.fromkeys(lines))  # first occurrences in file order
    random.Random(seed).shuffle(expected)
    corpus = Corpus.of(lines, split_seed=seed)
    assert parts(corpus) == cut(expected)
    assert not corpus.kfold and not corpus.leaks and corpus.note == "" and corpus.folds() == []
    assert sorted(corpus.lines) == sorted(set(lines))


@pytest.mark.parametrize("count, unique", [(6, 6), (10, 3), (199, 150), (999, 300)])
def test_the_lecture_split_is_the_lectures(count, unique):
    words = some_lines(count, unique)
    corpus = Corpus.of(words, split="lecture", split_seed=5)  # the lectures' seed is 42, whatever was asked
    expected = list(words)
    random.seed(42)
    random.shuffle(expected)
    assert parts(corpus) == cut(expected)
    assert corpus.leaks and "leaks" in corpus.note and not corpus.kfold


def test_without_a_split_all_lines_are_train_and_stand_for_every_part():
    lines = some_lines(50, 20)
    corpus = Corpus.of(lines, split="none")
    assert parts(corpus) == (lines, [], [])
    assert corpus.leaks and corpus.note
    assert all(list(corpus.part(part)) == lines for part in ("train", "dev", "test"))
    assert list(corpus.lines) == lines and list(corpus.unique_train) == list(dict.fromkeys(lines))


@pytest.mark.parametrize("unique", [1, 2, 3, 9, 10, 11, 57, 199])
def test_under_200_unique_lines_k_folds_take_turns(unique):
    lines = some_lines(unique * 2, unique)
    corpus = Corpus.of(lines)
    expected = list(dict.fromkeys(lines))
    random.Random(42).shuffle(expected)
    assert corpus.kfold and parts(corpus) == (expected, [], [])
    folds = corpus.folds()
    if unique == 1:
        assert folds == []
        return
    assert len(folds) == min(10, unique)
    assert sorted(line for _, held_out in folds for line in held_out) == sorted(expected)
    sizes = [len(held_out) for _, held_out in folds]
    assert max(sizes) - min(sizes) <= 1
    for learnt, held_out in folds:
        assert set(learnt) | set(held_out) == set(expected) and not set(learnt) & set(held_out)
        assert len(learnt) + len(held_out) == unique
    for part in ("dev", "test"):
        with pytest.raises(UsageError, match=part):
            corpus.part(part)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**63 - 1])
def test_shuffling_four_byte_numbers_is_shuffling_a_list(seed):
    for count in (0, 1, 2, 1000):
        order = list(range(count))
        random.Random(seed).shuffle(order)
        assert shuffled(count, seed).tolist() == order


def test_the_names_are_split_as_the_published_figures_say(names):
    words = names.read_text().splitlines()
    unique, lecture = Corpus.read(names), Corpus.read(names, split="lecture")
    assert [len(part) for part in parts(unique)] == [23_595, 2_949, 2_950]
    expected = list(dict.fromkeys(words))
    random.Random(42).shuffle(expected)
    assert parts(unique) == cut(expected)
    random.seed(42)
    random.shuffle(words)
    assert parts(lecture) == cut(words)
    assert [sum(len(word) + 1 for word in part) for part in parts(lecture)] == [182_625, 22_655, 22_866]
    train = set(lecture.train)
    leaked = [sum(word in train for word in part) / len(part) for part in (lecture.dev, lecture.test)]
    assert [round(share, 3) for share in leaked] == [0.132, 0.118]


@pytest.mark.parametrize("split", SPLITS)
def test_a_file_and_its_lines_at_hand_make_the_same_corpus(split, tmp_path):
    lines = some_lines(500, 300)
    (tmp_path / "things.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    read = Corpus.read(tmp_path / "things.txt", split=split)
    of = Corpus.of(lines, split=split)
    assert parts(read) == parts(of)
    text = "".join(line + "\n" for line in lines)
    assert read.fingerprint == of.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert read.alphabet == of.alphabet and read.longest == of.longest == max(map(len, lines))


def test_without_a_split_a_files_text_is_streamed_and_a_change_in_use_is_noticed(tmp_path, types_unchecked):
    # (The type checker would look at a line of what it checks, and so load the text.)
    file = tmp_path / "things.txt"
    file.write_text("emma\nava\nemma\n")
    corpus = Corpus.read(file, split="none")
    assert len(corpus.train) == 3 and list(corpus.train) == ["emma", "ava", "emma"] and corpus.longest == 4
    assert not corpus.train.in_memory
    for changed in ("emma\nava\nemmo\n", "emma\nava\n", "emma\nava\nemma\nava\n"):
        file.write_text(changed)
        with pytest.raises(ListError, match="changed"):
            list(corpus.train)
    file.write_text("emma\nava\nemma\n")
    assert list(corpus.unique_train) == ["emma", "ava"]


@pytest.mark.parametrize("symbols, longest", [("characters", 5), ("graphemes", 4), ("words", 2), ("bytes", 6)])
def test_the_longest_line_is_counted_in_symbols(symbols, longest):
    assert Corpus.of(["ae\u0301 b", "x", "abc"], symbols=symbols).longest == longest


def test_hygiene_looks_at_the_lines_that_the_run_knows():
    assert Corpus.of(["ada", "bob", "ada"]).hygiene.to_dict()["lines"] == 2
    assert Corpus.of(["ada", "bob", "ada"], split="none").hygiene.to_dict()["lines"] == 3


@pytest.mark.parametrize(
    "lines, words",
    [
        ([], "no lines"),
        (["a", ""], "item 2"),
        (["a\nb"], "item 1"),
        (["a", 5], "item 2"),
        (["a", None], "item 2"),
        (["a", b"b"], "item 2"),
        (["a", "b\ud800"], "item 2"),
    ],
)
def test_lines_that_are_none_are_refused_by_number(lines, words, types_unchecked):
    with pytest.raises(ListError, match=words) as error:
        Corpus.of(lines, name="mine")
    assert str(error.value).startswith("mine")


@pytest.mark.parametrize("text", ["names.txt", "", b"names.txt"])
def test_one_text_is_not_taken_for_a_list_of_its_letters(text, types_unchecked):
    with pytest.raises(ListError, match=r"Corpus\.read"):
        Corpus.of(text)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_lecture_split_with_an_empty_part_is_refused(count):
    with pytest.raises(ListError, match=f"{count} line"):
        Corpus.of(some_lines(count, count), split="lecture")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"split": "random"}, "random"),
        ({"symbols": "syllables"}, "syllables"),
        ({"split_seed": -1}, "-1"),
        ({"split_seed": 2**63}, "9223372036854775808"),
        ({"split_seed": True}, "True"),
        ({"split_seed": 1.0}, "1.0"),
        ({"split_seed": "42"}, "'42'"),
    ],
)
def test_choices_that_there_are_not_are_refused_by_name(settings, words, types_unchecked, tmp_path):
    (tmp_path / "list.txt").write_text("a\nb\n")
    for attempt in (lambda: Corpus.of(["a", "b"], **settings), lambda: Corpus.read(tmp_path / "list.txt", **settings)):
        with pytest.raises(UsageError, match=words):
            attempt()


def test_an_unknown_part_is_refused():
    with pytest.raises(UsageError, match="valid"):
        Corpus.of(["a", "b"]).part("valid")


def test_splitting_lines_of_the_same_hash_bits_keeps_every_one_of_them():
    # First occurrences by hash must be those by equality, for lines that differ in one symbol only.
    lines = [chr(0x4E00 + i) + "x" for i in range(3000)] * 2
    train, dev, test, kfold = split_lines(Lines.of(lines), "unique", 42)
    assert not kfold and sorted([*train, *dev, *test]) == sorted(set(lines))
    assert np.array_equal(np.sort(train.lengths()), np.full(2400, 2))


def test_a_corpus_never_loads_torch():
    code = (
        "import sys; from moreish.text.corpus import Corpus; "
        "c = Corpus.of(['emma', 'ava'] * 300); c.hygiene; c.longest; c.unique_train; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
