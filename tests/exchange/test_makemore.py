"""Models of makemore.py as runs, held against small references of its models; `make bench` does so with itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_makemore
import torch

from moreish.errors import CheckpointError, ConfigError, MoreishError, UsageError
from moreish.exchange import state_dict as reading
from moreish.exchange.makemore import import_makemore
from moreish.exchange.makemore_models import Found, convert, recognise
from moreish.faces.cli import run as command
from moreish.generating.sample import sample
from moreish.learning.evaluate import evaluate
from moreish.learning.score import score
from moreish.learning.steps import fit_lines
from moreish.models.laws import check_model
from moreish.models.mlp import MLP, MLPBatchNorm, MLPBatchNormConfig, MLPConfig
from moreish.models.model import LanguageModel
from moreish.runs.compare import compare
from moreish.runs.directory import describe, load
from moreish.runs.recording import resume, save
from moreish.text.corpus import Split

SYMBOLS, PLACES = 6, 9
chooser = random.Random(5)
WORDS = ["a" * (PLACES - 1), *("".join(chooser.choices("abcde", k=chooser.randint(1, PLACES - 1))) for _ in range(300))]
LINES = [[0], [0, 1], [0, 3, 3, 5, 1], [0, *[2, 4] * 4], [0, 5, 4, 3, 2, 1, 1, 2], [0, 1, 2]]

State = dict[str, torch.Tensor]


def made(kind: str, seed: int = 3) -> State:
    return small_makemore.state_dict(kind, symbols=SYMBOLS, places=PLACES, seed=seed)


def shapes_of(state: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def ours(kind: str, state: State, heads: int | None = None) -> LanguageModel[Any]:
    return convert(recognise(shapes_of(state), heads), state)


def saved(path: Path, state: Any) -> Path:
    torch.save(state, path)
    return path


@pytest.fixture
def words(tmp_path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word}\n" for word in WORDS))
    return path


# The same model.


@pytest.mark.parametrize("kind", small_makemore.KINDS)
def test_the_weights_give_its_logits_at_every_place_of_padded_lines(kind):
    state = made(kind)
    model = ours(kind, state)
    lengths = torch.tensor([len(line) for line in LINES])
    padded = torch.zeros(len(LINES), PLACES, dtype=torch.long)
    for row, line in enumerate(LINES):
        padded[row, : len(line)] = torch.tensor(line)
    expected = [small_makemore.logits(kind, state, line[: t + 1]) for line in LINES for t in range(len(line))]
    inside = torch.arange(PLACES) < lengths[:, None]
    with torch.no_grad():
        side_by_side = model(padded, model.begin(len(LINES)))[0][inside]
        end_to_end = model.read_lines(padded[inside], lengths)
        exactly = model.double()(padded, model.begin(len(LINES)))[0][inside]
    assert np.ptp(np.array(expected), axis=0).max() > 1, "a reference that says the same everywhere would hold nothing"
    for found, most in ((side_by_side, 1e-5), (end_to_end, 1e-5), (exactly, 1e-12)):
        assert np.abs(found.numpy() - np.array(expected)).max() < most


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_a_transformer_has_the_heads_that_are_named(heads):
    state = made("transformer")
    model = ours("transformer", state, heads)
    line = LINES[3]
    with torch.no_grad():
        found = model(torch.tensor([line]), model.begin(1))[0][0, -1]
    assert np.abs(found.numpy() - small_makemore.logits("transformer", state, line, heads)).max() < 1e-5
    assert np.abs(found.numpy() - small_makemore.logits("transformer", state, line, 4)).max() > 1e-3


@pytest.mark.parametrize("context", [1, 2, 5])
def test_a_blank_before_the_line_keeps_every_law(context):
    def plain(symbols: int, seed: int) -> MLP:
        return MLP(MLPConfig(symbols, context=context, embedding=8, hidden=32, layers=1, dropout=0.0, blank=True), seed)

    def normalized(symbols: int, seed: int) -> MLPBatchNorm:
        config = MLPBatchNormConfig(symbols, context=context, embedding=8, hidden=32, dropout=0.0, blank=True)
        return MLPBatchNorm(config, seed)

    assert check_model(plain) and check_model(normalized)
    model = plain(SYMBOLS, 1).double()
    lengths = torch.tensor([len(line) for line in LINES])
    together = model.read_lines(torch.tensor([symbol for line in LINES for symbol in line]), lengths)
    apart = torch.cat([model(torch.tensor([line]), model.begin(1))[0][0] for line in LINES])
    assert (together - apart).abs().max() < 1e-12


def test_a_blank_is_no_boundary():
    """At a line's first symbol all else is blank; changing the boundary's own embedding moves what reads it once."""
    model = MLP(MLPConfig(SYMBOLS, context=3, embedding=4, hidden=8, dropout=0.0, blank=True))
    first, later = torch.tensor([[0, 0, 0]]), torch.tensor([[2, 1, 3]])
    before = model.score(first), model.score(later)
    with torch.no_grad():
        model.embedding.weight[SYMBOLS] += 1
    assert not torch.equal(model.score(first), before[0]) and torch.equal(model.score(later), before[1])


# The run.


@pytest.mark.parametrize("kind", small_makemore.KINDS)
def test_a_file_becomes_a_run_like_any_other(kind, tmp_path, words):
    state = made(kind)
    trained = import_makemore(saved(tmp_path / "model.pt", state), words)
    run = tmp_path / "run"
    save(trained, run)
    again = load(run)
    assert again.alphabet.symbols == tuple("abcde") and again.recipe == trained.recipe
    line = chooser.choice(WORDS)
    ids = [0, *again.alphabet.encode(line)]
    nats = 0.0
    for t, target in enumerate([*ids[1:], 0]):
        logits = small_makemore.logits(kind, state, ids[: t + 1])
        nats -= logits[target] - np.log(np.exp(logits).sum())
    assert score(again, [line])[0].nats == pytest.approx(nats, abs=1e-4)
    assert sample(again, 5, seed=1).found == 5
    assert list(resume(run)) == []
    told = describe(run)
    assert told["finished"] and told["leaks"] and "learnt elsewhere" in told["note"]
    assert f"the {kind} of makemore.py in model.pt" in told["recipe"]["why"]


def test_its_figures_say_that_they_leak_whatever_the_split(tmp_path, words):
    notes: dict[Split, str] = {"unique": "elsewhere", "lecture": "elsewhere", "none": "nothing is held out"}
    path = saved(tmp_path / "model.pt", made("gru"))
    for split, word in notes.items():
        found = evaluate(import_makemore(path, words, split=split))
        assert found.leaks and word in found.note and found.split == split
    save(import_makemore(path, words), tmp_path / "one")
    assert command(["train", str(words), "--model", "bigram", "--run", str(tmp_path / "two")]) == 0
    for order in (("one", "two"), ("two", "one")):
        assert compare([tmp_path / name for name in order]).leaks


def test_a_short_list_is_not_learnt_again_fold_by_fold(tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("\n".join(WORDS[:50]))
    trained = import_makemore(saved(tmp_path / "model.pt", made("mlp")), few)
    assert trained.corpus.split == "none" and evaluate(trained).part == "train"
    with pytest.raises(MoreishError, match="was imported"):
        fit_lines(trained.recipe, trained.corpus.train, trained.alphabet)


TEXTS = {
    "plain": "ab\nc\n",
    "white space around and blank lines": "  ab \n\t\n\nc d\t\n \n",
    "ends of lines that only splitlines knows": "ab\x0bc\x85d\u2028e\x1cf\n",
    "carriage returns": "ab\r\nc\rd\n",
    "not in NFC": "e\u0301\nu\u0308a\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_list_is_read_as_makemore_reads_it(text, tmp_path):
    (tmp_path / "list.txt").write_bytes(text.encode())
    with (tmp_path / "list.txt").open() as file:
        kept = [word for word in (word.strip() for word in file.read().splitlines()) if word]
    symbols = sorted(set("".join(kept)))
    path = saved(tmp_path / "model.pt", small_makemore.state_dict("bigram", symbols=len(symbols) + 1))
    trained = import_makemore(path, tmp_path / "list.txt")
    assert sorted(trained.corpus.lines) == sorted(kept) and list(trained.alphabet.symbols) == symbols


def test_what_the_file_does_not_say_is_said(tmp_path, words):
    path = saved(tmp_path / "model.pt", made("transformer"))
    assert "4 heads taken, for it does not say" in import_makemore(path, words).recipe.why
    asked = import_makemore(path, words, heads=2)
    assert "heads" not in asked.recipe.why and asked.recipe.settings["heads"] == 2
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("abcde\nab\n")
    assert "lines of up to 8, and this list's are of up to 5" in import_makemore(path, shorter).recipe.why


# The command.


def test_the_command_leaves_a_run_and_says_so(tmp_path, words, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "model.pt", made("mlp"))
    asked = ["import", "model.pt", "--from", "makemore", "--list", "words.txt"]
    assert command([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == "runs/words-makemore-mlp-1" and told["step"] == 0 and told["leaks"]
    assert told["evaluation"]["nats_per_symbol"] == evaluate(load(told["run"])).nats_per_symbol
    assert describe(told["run"])["evaluation"]["nats_per_symbol"] == told["evaluation"]["nats_per_symbol"]
    assert command(["resume", told["run"]]) == 0
    assert "is finished" in capsys.readouterr().err
    assert command([*asked, "--run", "mine", "--split", "lecture"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "the mlp of makemore.py in model.pt" in out and "learnt elsewhere" in out and "Kept in mine" in out
    assert "It knows less than nothing of this list" in out  # random weights do
    for flags, code, word in (
        (["--list", "words.txt", "--run", "mine"], 1, "holds a run already"),
        (["--list", "words.txt", "--run", ""], 2, "no name for --run"),
        (["--list", "words.txt", "--heads", "2"], 2, "has no heads"),
        (["--list", "words.txt", "--from", "nanogpt"], 2, "There are: makemore"),
        (["--list", "nowhere.txt"], 1, "nowhere.txt: no such file"),
        (["--list", "minerals"], 2, "is of 5 symbols and the boundary; minerals has"),
        ([], 2, "--list"),
    ):
        assert command(["import", "model.pt", *flags]) == code and word in capsys.readouterr().err, flags
    assert command([*asked, "--run", "mine", "--overwrite"]) == 0


# Files that are none of its.


def changed(state: State, **tensors: torch.Tensor) -> State:
    return {**state, **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}


def lacking(state: State, name: str) -> State:
    return {key: tensor for key, tensor in state.items() if key != name}


def with_number(state: State, name: str, number: float) -> State:
    state[name].view(-1)[1] = number
    return state


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing in it": (dict, "its 0 tensors"),
    "other names": (lambda: {"a.weight": torch.ones(2), "b.weight": torch.ones(2)}, "of none of makemore.py's models"),
    "a tensor less": (lambda: lacking(made("gru"), "lm_head.bias"), "nearest to a gru of makemore.py, but lacks 'lm_h"),
    "a tensor more": (lambda: changed(made("rnn"), x=torch.ones(1)), "nearest to a rnn .* has 'x' beside"),
    "a block less": (
        lambda: {n: t for n, t in made("transformer").items() if ".h.0." not in n},
        "nearest to a transformer .* lacks 'transformer.h.0.ln_1.weight'",
    ),
    "a block of an absurd number": (
        lambda: changed(made("transformer"), transformer__h__9999__ln_1__weight=torch.ones(12)),
        "lacks 'transformer.h.2",
    ),
    "a table not square": (lambda: {"logits": torch.ones(3, 4)}, "of shape .3, 4., which is not the .V, V."),
    "a table of three sides": (lambda: {"logits": torch.ones(3, 3, 3)}, "is not the .V, V."),
    "a table of nothing": (lambda: {"logits": torch.ones(0, 0)}, "is not the .V, V."),
    "no blank": (lambda: changed(made("mlp"), wte__weight=torch.ones(SYMBOLS, 12)), "which is not the .V.1, D."),
    "a window with a rest": (lambda: changed(made("mlp"), mlp__0__weight=torch.ones(10, 100)), "not the .H, CD."),
    "another embedding": (lambda: changed(made("gru"), wte__weight=torch.ones(SYMBOLS, 5)), "not the .H, D.H."),
    "another mask": (lambda: changed(made("bow"), context_block__cbow__bias=torch.ones(1, 3, 3)), "not the .1, T, T."),
    "a mask that hides nothing": (
        lambda: changed(made("bow"), context_block__cbow__bias=torch.ones(1, PLACES, PLACES)), "does not hide just",
    ),
    "not a number": (lambda: with_number(made("mlp"), "mlp.0.weight", float("nan")), "not finite"),
    "infinity": (lambda: with_number(made("transformer"), "transformer.wpe.weight", float("inf")), "not finite"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "match"), WRONG.values(), ids=WRONG)
def test_what_is_no_model_of_its_is_refused(make, match, tmp_path, words):
    path = saved(tmp_path / "model.pt", make())
    with pytest.raises(CheckpointError, match=match) as error:
        import_makemore(path, words)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_sizes_that_cannot_be_are_refused_before_anything_is_built(tmp_path, words, monkeypatch):
    path = saved(tmp_path / "model.pt", made("transformer"))
    monkeypatch.setattr(reading, "_read", lambda *_: pytest.fail("the numbers were read"))
    with pytest.raises(ConfigError, match="width=12 is not a multiple of heads=5"):
        import_makemore(path, words, heads=5)
    with pytest.raises(ConfigError, match="heads=0 is not a whole number"):
        import_makemore(path, words, heads=0)


def test_a_list_of_other_symbols_is_refused(tmp_path, words):
    path = saved(tmp_path / "model.pt", small_makemore.state_dict("rnn", symbols=9))
    with pytest.raises(UsageError, match=r"is of 8 symbols and the boundary; .*words\.txt has 5: a b c d e\. Give"):
        import_makemore(path, words)


def test_a_model_found_says_what_it_is():
    found = recognise(shapes_of(made("transformer")))
    assert isinstance(found, Found) and (found.kind, found.model) == ("transformer", "transformer")
    assert found.sizes == {"V": SYMBOLS, "D": 12, "T": PLACES, "L": 2}
