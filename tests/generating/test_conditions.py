"""Conditions as automata, against Python's own `re` and plain tests of strings."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from moreish.errors import AlphabetError, Impossible, MoreishError, UsageError
from moreish.generating.acceptor import Acceptor, TooManyStates
from moreish.generating.constraints import Conditions, compile_conditions
from moreish.generating.patterns import pattern_acceptor
from moreish.text.alphabet import KINDS, Alphabet
from moreish.text.lines import Lines
from moreish.text.vowels import base_letter, find_vowels

CHARACTERS = "abn -X1é"
PATTERNS = [
    r"(ba|na){2,3}", r"anna|emma|ab", r"a*b", r"(a|b)*a(a|b){3}", r"\bab\b.*", r"^a.*$", r"[^a]+", r"(?i:x)a?",
    r"a{2}b{0,2}", r"(a*)*", r"(a|)*b", r"\w+( \w+)*", r"\d\D*", r".*\Bb.*", r"a|", r"(?i)ABN", r"[a-b]+?n??",
    r"a^b", r"a$b|ab", r"(|a)+", r"(^a|b)+", r"(\bab?)*", r"(a$|b)*", r"\Aa\Z", r"(?:a(?P<x>b)?)+n", r"[\w-]{3}",
    r"(?s:.)é|\S\s\S", r"((a|b){2}){1,3}", r"(?x) a  b | n", r"(?i:É)[^\W\d]*", r"a{,2}n", r"(a+)+b", r"b(?!)|b",
]  # fmt: skip
ACCEPTED = [p for p in PATTERNS if "(?!)" not in p]


def lines_of(characters, count, longest, seed):
    """Random lines, many of them of few different characters, so that patterns match some."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice(characters[: chance.choice((2, 3, 5, len(characters)))]) for _ in range(size))
        for size in (chance.randrange(1, longest) for _ in range(count))
    ]


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_a_pattern_matches_what_python_matches(pattern, types_unchecked):
    lines = lines_of(CHARACTERS, 330, 9, pattern)
    alphabet = Alphabet("characters", tuple(CHARACTERS))
    found = pattern_acceptor(pattern, CHARACTERS)
    expected = [re.fullmatch(pattern, line) is not None for line in lines]
    stream = alphabet.encode_texts(lines)
    assert found.accepts(stream).tolist() == expected
    assert found.negated().accepts(stream).tolist() == [not x for x in expected]


@pytest.mark.parametrize("pattern, words", [
    (r"(a)\1", "back-reference"), (r"(?=a)a", "ahead"), (r"a(?<!b)", "ahead"), (r"(a", "backslash"),
    (r"[", "backslash"), (r"(?>a)b", "atomic"), (r"a++", "possessive"), (r"(a)?(?(1)b|n)", "back-reference"),
    ("(" * 3000 + ")" * 3000, "nested"),
])  # fmt: skip
def test_what_is_no_pattern_of_an_automaton_is_refused_by_name(pattern, words):
    with pytest.raises(UsageError, match=words):
        pattern_acceptor(pattern, CHARACTERS)


@pytest.mark.parametrize("pattern", [
    r"(a|b)*a(a|b){20}", r"(a{1,100}){1,100}", r"((((a{10}){10}){10}){10}){10}", r"(a?){3000}a{3000}", r"(.*a.{9}){4}",
])  # fmt: skip
def test_patterns_that_grow_without_bound_are_stopped(pattern, types_unchecked):
    with pytest.raises(TooManyStates, match="4,096"):
        pattern_acceptor(pattern, CHARACTERS)


WORDS = ["zoë x", "año", "日本語 ab", "ab", "éa bc", "x", "naïve café", "abab ab"]
CONDITIONS = [
    Conditions(prefix="a"), Conditions(suffix="b"), Conditions(contains="ab"), Conditions(excludes=("a", "é")),
    Conditions(pattern=r"\w+ \w+"), Conditions(pattern="[^a]*"), Conditions(alphabet="ab é日"),
    Conditions(syllables=(1, 2), vowels="aeiou"), Conditions(syllables=(2, None), vowels="aeiou"),
    Conditions(prefix="n", suffix="é", contains="ve c"), Conditions(length=(2, 3)), Conditions(excludes="ß"),
]  # fmt: skip


def fits(c, text):
    """Whether a text meets the conditions, its length aside, by Python's own string methods."""
    letters = {base_letter(x) for x in c.vowels or ""}
    runs = re.findall("v+", "".join("v" if base_letter(x) in letters else "." for x in text))
    low, high = c.syllables or (0, None)
    return (
        text.startswith(c.prefix)
        and text.endswith(c.suffix)
        and all(x in text for x in c.contains)
        and not any(x in text for x in c.excludes)
        and (c.pattern is None or re.fullmatch(c.pattern, text) is not None)
        and (c.alphabet is None or set(text) <= set(c.alphabet))
        and low <= len(runs) <= (high if high is not None else len(runs))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_speak_of_characters_whatever_the_symbols(kind, types_unchecked):
    alphabet = Alphabet.of(Lines.of(WORDS), kind)
    chance = random.Random(kind)
    rows = [[chance.randrange(1, len(alphabet)) for _ in range(chance.randrange(1, 5))] for _ in range(400)]
    rows = [row for row in rows if "�" not in alphabet.decode(row)] + [alphabet.encode(word) for word in WORDS]
    stream = np.array([0, *(i for row in rows for i in (*row, 0))])
    met = 0
    for conditions in CONDITIONS:
        found = compile_conditions(conditions, alphabet, 50).acceptor.accepts(stream)
        assert found.tolist() == [fits(conditions, alphabet.decode(row)) for row in rows], conditions
        met += int(found.sum())
    assert met > 200, "enough of them meet something"


ENGLISH = Alphabet("characters", tuple("abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize("asked, kind, words", [
    ({"prefix": "a", "suffix": "b", "length": (1, 1)}, Impossible, ["--prefix a", "--suffix b", "--length 1:1"]),
    ({"prefix": "ab", "pattern": "b.*", "suffix": "z"}, Impossible, ["--prefix ab", "--pattern b", "!--suffix"]),
    ({"contains": "abc", "excludes": "b", "suffix": "z"}, Impossible, ["--contains abc", "--excludes b", "!--suffix"]),
    ({"alphabet": "bc", "contains": "a"}, Impossible, ["--alphabet bc", "--contains a"]),
    ({"syllables": (3, 3), "vowels": "ae", "length": (1, 4)}, Impossible, ["--syllables 3:3", "--length 1:4"]),
    ({"pattern": "x{40}"}, Impossible, ["--pattern", "30 symbols", "--max-length"]),
    ({"pattern": "[0-9]+x"}, Impossible, ["0 9"]),
    ({"length": (31, None)}, Impossible, ["31", "30"]),
    ({"suffix": "3"}, AlphabetError, ["--suffix '3'", "a b c"]),
    ({"contains": "é"}, AlphabetError, ["--contains"]),
    ({"alphabet": "é"}, AlphabetError, ["--alphabet"]),
    ({"syllables": (1, 2), "vowels": "é!"}, None, []),
    ({"syllables": (1, 2), "vowels": "!"}, UsageError, ["--vowels"]),
    ({"contains": ["abcdefghijk", "bcdefghijkl", *"qrstuvw"]}, TooManyStates, ["4,096"]),
])  # fmt: skip
def test_what_cannot_be_met_is_said_with_the_fewest_conditions(asked, kind, words, types_unchecked):
    conditions = Conditions(**asked)
    if kind is None:
        assert compile_conditions(conditions, ENGLISH, 30).lines > 0
        return
    with pytest.raises(kind) as error:
        compile_conditions(conditions, ENGLISH, 30)
    for word in words:
        assert (word[1:] not in str(error.value)) if word[0] == "!" else (word in str(error.value))


@pytest.mark.parametrize("asked, words", [
    ({"length": (5, 4)}, "length 5:4"), ({"length": (1, 0)}, "length"), ({"length": 5}, "length="),
    ({"length": (True, 2)}, "length="), ({"syllables": (-1, 2)}, "syllables="), ({"contains": ""}, "contains="),
    ({"excludes": ("a", 3)}, "excludes="), ({"prefix": None}, "prefix="), ({"pattern": 3}, "pattern="),
    ({"vowels": "a"}, "--syllables"), ({"alphabet": ""}, "--alphabet"), ({"contains": 5}, "contains=5"),
    ({"pattern": ""}, "--pattern is empty"),
])  # fmt: skip
def test_conditions_that_mean_nothing_are_refused_by_name(asked, words, types_unchecked):
    with pytest.raises(UsageError, match=re.escape(words)):
        Conditions(**asked)


def test_an_automaton_counts_its_lines():
    abc = Alphabet("characters", ("a", "b", "c"))
    for asked, count in (
        ({}, 3 + 9 + 27), ({"pattern": "a|bb|ccc"}, 3), ({"contains": "ab", "length": (3, 3)}, 6),
        ({"length": (2, 2)}, 9), ({"excludes": "a"}, 2 + 4 + 8), ({"alphabet": "a"}, 3),
    ):  # fmt: skip
        assert compile_conditions(Conditions(**asked), abc, 3).lines == count


def of_words(words, symbols):
    """Accepts just these lines of ids, by a tree of their beginnings."""
    prefixes = {word[:size] for word in words for size in range(len(word) + 1)}

    def step(state, kind):
        return (*state, kind + 1) if (*state, kind + 1) in prefixes else None

    return Acceptor.explore((), step, lambda state: state in words, np.arange(symbols, dtype=np.int32))


def test_products_and_words():
    several = of_words([(1, 2), (1,), (3, 3, 3)], 3)
    assert several.accepts(np.array([0, 1, 2, 0, 1, 0, 3, 3, 0, 3, 3, 3, 0])).tolist() == [True, True, False, True]
    nothing = several & of_words([(2,)], 3)
    assert len(nothing) == 0 and not nothing.can_end(1, 9) and not nothing.accepts(np.array([0, 1, 0])).any()
    assert nothing.negated().accepts(np.array([0, 1, 0])).all()
    everything = Acceptor.everything(3)
    assert (everything & several).counts(1, 3)[0, 0] == 3


@pytest.mark.parametrize("lines, vowels", [
    (["banana", "cabana", "panama", "manila", "nicola", "polina", "tunis", "benin"], "aeiou"),
    (["b"], ""), ([], ""), (["12", "34"], ""), (["BÁnÁnÁ", "pápá", "tótó"], "ao"),
])  # fmt: skip
def test_vowels_are_the_letters_that_alternate(lines, vowels):
    assert "".join(sorted(find_vowels(Lines.of(lines)))) == vowels


def test_every_error_is_one_of_ours():
    for asked in (
        {"pattern": "a" * 5000 + "("},
        {"pattern": "\\"},
        {"pattern": "a{99999999999}"},
        {"prefix": "a" * 5000},
    ):
        with pytest.raises(MoreishError):
            compile_conditions(Conditions(**asked), ENGLISH, 30)
