"""The rows of the table: what is measured, on which list, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LOOP = "the lectures' dictionary loop"
OF_NAMES = ("names", "names-100MB", "names-10M", "different-10M", "full-names-1M")
"""The lists that are names.txt, or are made from it."""
LECTURE_SAMPLER = "the lectures' loop, one symbol at a time"
MAKEMORE = "makemore.py"


@dataclass(frozen=True)
class Row:
    """One figure.

    `measure` is `module:function` of this folder, given `lists` by name; `figure` one of several that it takes at once.
    `at_least` and `at_most` bound `of`: our own figure, its ratio to the reference, or how many times sooner than the
    reference ours is there. With neither the row is for information, and nothing is asked of it. An `aim` is told, and
    not asked.
    """

    id: str
    what: str
    measure: str
    unit: str
    lists: tuple[str, ...] = ()
    figure: str = ""
    reference: str = ""
    of: Literal["ours", "ratio", "sooner"] = "ours"
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None
    limit_follows: bool = False
    """Whether `at_most` follows from what is measured."""


def _memory(id: str, what: str, measure: str, made: str) -> Row:
    what = f"{what}: peak memory beyond the process with torch loaded, at most 2.5 times the tables + 200 MB"
    return Row(id, what, measure, "MB", (made,), limit_follows=True)


def _learning(model: str, what: str, small: tuple[float, float], large: tuple[float, float]) -> tuple[Row, Row]:
    """Two rows, of 32 and of 256 lines an update, each with what is asked and the aim."""
    at_32, at_256 = (
        Row(
            f"learn-{model}-{lines}", f"learning, {what}, {lines} lines an update: real symbols", f"learning:{model}",
            "symbols/s", ("names",), str(lines), reference=MAKEMORE, of="ratio", at_least=at_least, aim=aim,
        )
        for lines, (at_least, aim) in ((32, small), (256, large))
    )  # fmt: skip
    return at_32, at_256


def _sampling(model: str, at_least: float, aim: float) -> Row:
    what = f"lines drawn from the {model} of those sizes and decoded, 1,000 at once from a standing start"
    return Row(
        f"sample-{model}", what, f"sampling_networks:{model}", "lines/s", ("names",), reference=MAKEMORE, of="ratio",
        at_least=at_least, aim=aim,
    )  # fmt: skip


def _nearest(distance: int, at_most: float) -> tuple[Row, Row]:
    """Seconds for a million lines, as promised, and beside measuring every pair, for information."""
    edits = "one edit" if distance == 1 else f"{distance} edits"
    what = f"a million lines drawn, each with its nearest line of the list within {edits} named"
    measure = f"nearest:within_{distance}"
    reference = "rapidfuzz's cdist, every pair"
    return (
        Row(f"nearest-{distance}", what, measure, "s", ("names",), "seconds", at_most=at_most),
        Row(f"nearest-{distance}-measured", "the same", measure, "lines/s", ("names",), "lines", reference=reference,
            of="ratio"),
    )  # fmt: skip


def _tables(figure: str, what: str, at_most: float) -> Row:
    """Seconds for what exact draws need, under some conditions."""
    return Row(
        f"conditions-{figure}-tables", f"tables to draw from it exactly under {what}", "conditions:made", "s",
        ("names",), figure, at_most=at_most,
    )  # fmt: skip


def _under(figure: str, what: str) -> Row:
    return Row(
        f"conditions-{figure}", f"lines drawn exactly under {what}", "conditions:drawn", "lines/s", ("names",), figure,
        at_least=100_000,
    )  # fmt: skip


def _reaching(who: str, nats: str, reference: str, at_least: float, aim: float) -> tuple[Row, Row]:
    """Ours by gradient beside a lecture, and the same by counting, for information."""
    what = f"seconds until dev of the lecture split is at {nats}"
    measure, lists = f"reaching:{who}", ("names",)
    return (
        Row(f"reach-{nats}", f"{what}, by gradient from a random start", measure, "s", lists, "gradient",
            reference=reference, of="sooner", at_least=at_least, aim=aim),
        Row(f"reach-{nats}-counting", f"{what}, by counting: Kneser-Ney", measure, "s", lists, "counting"),
    )  # fmt: skip


def _by_hand(id: str, what: str, measure: str = "") -> Row:
    what = f"a step of {what}, 32 lines, gradients by hand"
    return Row(f"by-hand-{id}", what, f"by_hand:{measure or id}", "ms", ("names",), reference="the same by autograd",
               of="ratio", at_most=1.5)  # fmt: skip


def _watching(model: str) -> Row:
    return Row(
        f"watch-{model}", f"a step of {model} as it learns by default, vitals read at the default interval",
        f"watching:{model.replace('-', '_')}", "ms", ("names",), reference="the same unwatched", of="ratio",
        at_most=1.05,
    )  # fmt: skip


def _step(who: str, what: str, asked: tuple[tuple[float, float], tuple[float, float]] | None = None) -> tuple[Row, ...]:
    """Two rows, beside each of the lecture's two ways, with what is asked and the aim; without, for information."""
    said = f"a step of the lectures' MLP with BatchNorm, 200 units, 32 windows: {what}"
    return tuple(
        Row(
            f"step-{who}-{figure}", said, f"backprop_steps:{who.replace('-', '_')}", "steps/s", ("names",), figure,
            reference=reference, of="ratio", at_least=at_least, aim=aim,
        )
        for figure, reference, (at_least, aim) in (
            ("autograd", "the lecture's step by autograd (part 4)", asked[0] if asked else (None, None)),
            ("by-hand", "the lecture's step by hand (part 4)", asked[1] if asked else (None, None)),
        )
    )  # fmt: skip


ROWS = (
    Row(
        "help", "moreish --help, the whole process", "starting:help_page", "s",
        reference="a process that imports typer and rich", of="ratio", at_most=2.2,
    ),
    Row(
        "count-bigrams-100MB", "names.txt over and over, read and counted as bigrams", "counting:bigrams",
        "M symbols/s", ("names-100MB",), reference=LOOP, of="ratio", at_least=40,
    ),
    _memory(
        "count-bigrams-100MB-memory", "names.txt over and over, bigrams", "counting:bigrams_memory", "names-100MB"
    ),
    Row(
        "count-5gram-100MB", "names.txt over and over, read and counted as 5-grams", "counting:five_grams",
        "M symbols/s", ("names-100MB",), reference=f"{LOOP} over 5 symbols", at_least=25,
    ),
    _memory(
        "count-5gram-100MB-memory", "names.txt over and over, 5-grams", "counting:five_grams_memory", "names-100MB"
    ),
    Row(
        "count-5gram-32-symbols", "5-grams of made text: 31 letters, each drawn by the two before, 2.2 nats a letter",
        "counting:five_grams", "M symbols/s", ("markov-100MB",), reference=f"{LOOP} over 5 symbols", at_least=10,
    ),
    _memory("count-5gram-32-symbols-memory", "the same", "counting:five_grams_memory", "markov-100MB"),
    Row(
        "count-5gram-32-uniform", "5-grams of made text: 31 letters, all alike, so most of 33.6 M 5-grams are there",
        "counting:five_grams", "M symbols/s", ("uniform-100MB",), reference=f"{LOOP} over 5 symbols", at_least=10,
    ),
    Row(
        "count-5gram-3000-symbols", "5-grams of made text: half the lines Cyrillic, half CJK", "counting:five_grams",
        "M symbols/s", ("symbols-3000-100MB",), reference=f"{LOOP} over 5 symbols", at_least=1,
    ),
    _memory("count-5gram-3000-symbols-memory", "the same", "counting:five_grams_memory", "symbols-3000-100MB"),
    Row(
        "inspect-10M-repeated", "moreish inspect, 10 million lines: names.txt over and over", "inspecting:inspect", "s",
        ("names-10M",), "seconds", at_most=20,
    ),
    Row(
        "inspect-10M-repeated-memory", "the same: peak memory", "inspecting:inspect", "MiB", ("names-10M",), "memory",
        at_most=450,
    ),
    Row(
        "inspect-10M-different", "moreish inspect, 10 million lines, all different", "inspecting:inspect", "s",
        ("different-10M",), "seconds", at_most=20,
    ),
    Row(
        "inspect-10M-different-memory", "the same: peak memory", "inspecting:inspect", "MiB", ("different-10M",),
        "memory", at_most=450,
    ),
    Row(
        "read-10M", "Corpus.read with its split, 10 million lines, all different", "inspecting:read", "s",
        ("different-10M",), "seconds", at_most=60,
    ),
    Row(
        "read-10M-memory", "the same: peak memory", "inspecting:read", "MiB", ("different-10M",), "memory", at_most=450
    ),
    Row("typos-names", "all probable typos of names.txt", "inspecting:typos", "s", ("names",)),
    Row("typos-1M", "all probable typos of a million full names", "inspecting:typos", "s", ("full-names-1M",)),
    Row(
        "fit-5gram", "names.txt, Kneser-Ney 5-gram: from the opened file to the dev loss", "fitting:five_gram",
        "core-seconds", ("names",), at_most=0.5,
    ),
    Row(
        "score-5gram", "5 million symbols scored by it", "scoring:five_gram", "M symbols/s", ("names",),
        reference="the lectures' loop over the bigram's table", at_least=20,
    ),
    Row(
        "why-5gram", "moreish.why of annabel under it, once it was asked before", "scoring:explained", "s", ("names",),
        at_most=0.3,
    ),
    Row(
        "sample-5gram", "lines drawn from it and decoded, 10,000 at once", "sampling:drawn", "lines/s", ("names",),
        reference=LECTURE_SAMPLER, at_least=200_000,
    ),
    Row(
        "sample-5gram-origins", "the same, each line with its origin", "sampling:with_origins", "lines/s", ("names",),
        reference=LECTURE_SAMPLER, at_least=100_000,
    ),
    _tables("ends", "a beginning, an end and a length", 0.3),
    _tables("contains", "two texts within, one letter without", 2.0),
    _tables("regex", "a regular expression of 65 states", 2.0),
    _under("ends", "a beginning, an end and a length"),
    _under("contains", "two texts within, one letter without"),
    _under("regex", "a regular expression of 65 states"),
    Row(
        "conditions-new-only", "only new lines of 4 to 8 symbols, exactly, each with its origin", "conditions:new_only",
        "lines/s", ("names",), reference="the same, known ones too", of="ratio", at_least=0.45,
    ),
    *_nearest(1, 5.0),
    *_nearest(2, 60.0),
    Row(
        "best-5gram", "its 100 most probable lines, exactly, with their origins; tables made once before",
        "sampling:most_probable", "s", ("names",), "warm", at_most=0.2,
    ),
    Row(
        "best-5gram-cold", "the same, the tables of Viterbi's and of all sums made for it", "sampling:most_probable",
        "s", ("names",), "cold",
    ),
    Row(
        "sample-3000-symbols", "lines drawn from a 5-gram of 200,000 made lines, half Cyrillic, half CJK",
        "sampling:drawn_of_many_symbols", "lines/s", ("symbols-3000-lines", "names"), reference=LECTURE_SAMPLER,
        at_least=100_000,
    ),
    *_learning("transformer", "a transformer of 4 layers, 64 wide", (2.0, 4.0), (2.5, 4.0)),
    *_learning("gru", "a GRU of 64 units, reset after the product (makemore's: before)", (2.0, 4.0), (4.3, 8.0)),
    *_learning("mlp", "makemore's MLP: 16 symbols of 64 numbers, 64 units", (3.5, 6.0), (9.0, 15.0)),
    _sampling("transformer", 15, 40),
    _sampling("gru", 13, 25),
    _sampling("mlp", 40, 80),
    Row(
        "sample-mixture", "lines drawn from the mixture and decoded, 1,000 at once from a standing start",
        "sampling_networks:mixture",
        "lines/s", ("names",), at_least=3_000,
    ),
    *_step("plain", "forward, backward, update as one function, plain torch", ((2.2, 2.7), (5, 7))),
    *_step("compiled", "the same function, in C", ((6, 12), (15, 35))),
    *_step("lean", "autograd as lean as it gets, F.batch_norm and one update"),
    *_step("by-torch", "torch.compile of that"),
    *_reaching("tree", "1.9937", "the lecture's 200,000 steps of its tree (part 5)", 34, 100),
    *_reaching("mlp", "2.17", "the lecture's 200,000 steps of its MLP (part 2)", 25, 60),
    _by_hand("transformer", "the transformer"),
    _by_hand("transformer-gpt2", "the transformer of GPT-2's parts", "transformer_of_gpt2"),
    _by_hand("gru", "the GRU, whole rows at once", "gru"),
    *(_watching(model) for model in ("mlp", "mlp-bn", "gru", "transformer")),
    Row(
        "import-makemore", "logits from weights of makemore.py's models, 2,000 lines: the largest difference",
        "exchanging:makemore", "nats", ("names",), at_most=1e-5,
    ),
    Row(
        "kenlm", "KenLM on our ARPA file, 1,000 lines: a line's largest difference", "exchanging:kenlm", "nats",
        ("names",), at_most=1e-4,
    ),
)  # fmt: skip
