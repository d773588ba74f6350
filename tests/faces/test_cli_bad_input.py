"""Whatever is typed: a verdict in one line (or a box on usage), the right exit code, nothing on standard output."""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from moreish.faces.cli.command import sort_out

TRAIN = ["train", "list.txt", "--run", "new"]
ONE_LAYER = [*TRAIN, "--model", "one-layer", "--steps", "2"]
MANY_DIGITS = "9" * 5000

BAD: list[tuple[list[str], int, str]] = [
    # commands and arguments
    (["nosuch"], 2, "no command 'nosuch'. There are: backprop, "), (["trian"], 2, "Did you mean 'train'?"),
    (["explain", "nosuch"], 2, "explain has no command 'nosuch'. There are: batchnorm, "),
    (["explain", "bigrm"], 2, "Did you mean 'bigram'?"),
    (["--nosuch"], 2, "--nosuch"),
    (["train"], 2, "LIST"),
    (["train", ""], 1, "no path"),
    (["train", "\0"], 1, "no path"),
    (["train", "a\0b"], 1, "no path"),
    (["train", "."], 1, "a directory"),
    (["train", "nosuch.txt"], 1, "no such file"),
    (["train", "lisst.txt"], 1, r"Did you mean 'list\.txt'"),
    (["train", "nams"], 1, "names"),
    (["train", "x" * 5000], 1, "."),
    (["more", "list.txt", "list.txt"], 2, "extra argument"),
    (["evaluate", "RUN", "RUN"], 2, "extra argument"),
    (["evaluate", ""], 1, "run"),
    (["evaluate", "\0"], 1, "."),
    (["evaluate", "x" * 5000], 1, "."),
    (["evaluate", "nosuch"], 1, "there is no run directory nosuch"),
    (["evaluate", "list.txt"], 1, "is not a run directory"),
    (["evaluate", "."], 1, "is not a run directory"),
    (["score", "RUN"], 2, "TEXT"),
    (["lists", "nmaes"], 2, "Did you mean 'names'"),
    (["models", "bigrm"], 2, "Did you mean 'bigram'"),
    (["models", "\x1b[2J"], 2, "no model is called"),
    (["export", "RUN", "--to", "onnx"], 2, "There are: arpa"),
    (["export", "RUN"], 2, "--to"),
    # flags: unknown, misspelt, twice, without a value
    (["more", "list.txt", "--new-onlly"], 2, "Did you mean '--new-only'"),
    (["more", "--new-onlly", "list.txt"], 2, "Did you mean '--new-only'"),
    (["sample", "RUN", "--new-onlly"], 2, "--new-only"),
    ([*TRAIN, "--ordr", "3"], 2, "Did you mean '--order'"),
    ([*TRAIN, "--smothing=none"], 2, "Did you mean '--smoothing'"),
    ([*TRAIN, "--overwite"], 2, "Did you mean '--overwrite'"),
    ([*TRAIN, "--\x1b[2J"], 2, "has no flag"),
    ([*TRAIN, "-x"], 2, "-x"),
    ([*TRAIN, "-x", "3"], 2, "-x"),
    ([*TRAIN, "--order", "3", "--order", "4"], 2, "--order is given twice"),
    ([*TRAIN, "--seed", "3", "--seed", "3"], 2, "--seed is given twice"),
    ([*TRAIN, "--keep-list", "--no-keep-list"], 2, "given twice"),
    (["more", "list.txt", "-n", "3", "--count", "4"], 2, "given twice"),
    (["sample", "RUN", "-n3", "-n", "4"], 2, "given twice"),
    (["sample", "RUN", "--json", "--json"], 2, "given twice"),
    ([*TRAIN, "--order"], 2, "--order has no value"),
    ([*TRAIN, "--order="], 2, "--order='' is not a whole number"),
    ([*TRAIN, "--seed"], 2, "--seed"),
    ([*TRAIN, "--seed="], 2, "'' is not a whole number"),
    ([*ONE_LAYER[:-2], "--steps="], 2, "'' is not a whole number"),
    (["sample", "RUN", "--temperature="], 2, "'' is not a number"),
    (["sample", "RUN", "-n"], 2, "-n"),
    (["sample", "RUN", "--json", "--csv"], 2, "Give one of them"),
    (["more", "list.txt", "--json", "--csv"], 2, "Give one of them"),
    # models and their settings
    ([*TRAIN, "--model", "lsmt"], 2, "no model is called 'lsmt'"),
    ([*TRAIN, "--model", ""], 2, "no model is called ''"),
    ([*TRAIN, "--model", "auto", "--order", "3"], 2, "auto sets its own"),
    ([*TRAIN, "--model", "mlp", "--hiden", "3"], 2, "'--hidden'"),
    ([*TRAIN, "--model", "mlp", "--learning-rate", "3"], 2, "has no flag '--learning-rate'"),
    ([*TRAIN, "--model", "mlp", "--steps", "1_000"], 2, "not a whole number"),
    ([*TRAIN, "--model", "mlp", "--steps", "-1"], 2, "steps=-1"),
    ([*TRAIN, "--model", "mlp", "--lr", "0"], 2, "would learn nothing"),
    ([*TRAIN, "--model", "mlp", "--lr", "nan"], 2, "lr=nan"),
    ([*TRAIN, "--model", "mlp", "--lr", "1e30"], 2, "is not a number from 0 to 1e"),
    ([*TRAIN, "--model", "mlp", "--batch", "0"], 2, "batch=0"),
    ([*TRAIN, "--model", "mlp", "--dropout", "1.0"], 2, "dropout=1.0"),
    ([*TRAIN, "--model", "mlp", "--hidden", "1000000", "--layers", "900"], 2, "GiB; at most"),
    ([*TRAIN, "--model", "mlp", "--optimizer", "adma"], 2, "none of: sgd, adamw, muon"),
    ([*TRAIN, "--model", "mlp", "--time", "0"], 2, "time=0"),
    ([*TRAIN, "--model", "mlp", "--time", "5", "--steps", "5"], 2, "both say when to stop"),
    ([*TRAIN, "--model", "mlp", "--closed-form"], 2, "no closed form"),
    ([*TRAIN, "--model", "mlp", "--patience", "2", "--split", "none"], 2, "needs a dev part"),
    ([*TRAIN, "--model", "mlp", "--use", "average", "--average", "0"], 2, "needs an average"),
    ([*TRAIN, "--model", "mlp", "--direct", "perhaps"], 2, "neither true nor false"),
    ([*TRAIN, "--model", "bigram", "--batch", "3"], 2, "fitted by counting"),
    (["resume", "nowhere"], 1, "no run directory"),
    ([*TRAIN, "--model", "bigram", "--order", "3"], 2, "bigram has no setting '--order'"),
    ([*TRAIN, "--model", "uniform", "--smoothing", "none"], 2, "It has none"),
    ([*TRAIN, "--symbols", "runes"], 2, "There are: characters"),
    ([*TRAIN, "--states", "3"], 2, "has no flag '--states'"),
    (["more", "list.txt", "--order", "3"], 2, "Add --model ngram"),
    ([*TRAIN, "--smoothing", "knezer-ney"], 2, "no smoothing is called"),
    ([*TRAIN, "--smoothing", "add-0"], 2, "no smoothing is called"),
    ([*TRAIN, "--smoothing", "add-1e999"], 2, "no smoothing is called"),
    ([*TRAIN, "--smoothing", "add-nan"], 2, "no smoothing is called"),
    ([*TRAIN, "--smoothing", "add-١"], 2, "no smoothing is called"),
    *[([*TRAIN, "--order", each], 2, "is not a whole number")
      for each in ("0", "-1", "65", "1_0", "٣", "３", "1e1", "3.0", "nan", "true", " 3", "0x3", MANY_DIGITS)],
    ([*TRAIN, "--steps", "5"], 2, "--steps has no meaning"),
    ([*TRAIN, "--lr", "5"], 2, "--lr has no meaning"),
    ([*TRAIN, "--closed-form"], 2, "--closed-form has no meaning"),
    ([*ONE_LAYER, "--closed-form"], 2, "has no meaning"),
    *[([*ONE_LAYER, f"--lr={each}"], 2, "learning rate|not a number|is not a") for each in
      ("0", "-1", "nan", "inf", "1e30", "1_0", "true", "", "0,1", "١", "1e5000", "9" * 400, "--", "1.2.3")],
    *[([*ONE_LAYER, f"--weight-decay={each}"], 2, "is not a") for each in ("-1", "nan", "inf", "1e30", "x")],
    *[([*ONE_LAYER[:-2], f"--steps={each}"], 2, "is not a whole number")
      for each in ("-1", "9223372036854775808", "1_000", "1e3", "٣", "2.0", MANY_DIGITS)],
    *[([*TRAIN, f"--seed={each}"], 2, "is not a whole number")
      for each in ("-1", "18446744073709551616", "9223372036854775808", "1_000", "nan", MANY_DIGITS)],
    *[([*TRAIN, f"--split-seed={each}"], 2, "is not a whole number") for each in ("-1", "9223372036854775808", "x")],
    ([*TRAIN, "--split", "half"], 2, "There are: unique, lecture, none"),
    ([*TRAIN, "--device", "tpu"], 2, "There are: cpu, cuda, mps"),
    ([*TRAIN, "--encoding", "nosuch"], 2, "nosuch"),
    ([*TRAIN, "--encoding", "\x1b[2J"], 2, "."),
    ([*TRAIN, "--normalize", "NFKC"], 2, "NFC"),
    ([*TRAIN, "--column", "nosuch"], 1, "nosuch"),
    ([*TRAIN, "--column", "a", "--field", "b"], 2, "."),
    ([*TRAIN[:2], "--run", ""], 2, "is no name for a directory"),
    ([*TRAIN[:2], "--run", "a\0b"], 2, "is no name for a directory"),
    ([*TRAIN[:2], "--run", "list.txt"], 1, "is a file"),
    ([*TRAIN[:2], "--run", "list.txt/run"], 1, "not a directory"),
    ([*TRAIN[:2], "--run", "."], 1, "holds no run"),
    ([*TRAIN[:2], "--run", "x" * 300], 1, "name too long"),
    # sampling
    *[(["sample", "RUN", f"--count={each}"], 2, "whole number")
      for each in ("0", "-1", "1_0", "٣", "1e3", "", "100000001", MANY_DIGITS)],
    *[(["sample", "RUN", f"--temperature={each}"], 2, "temperature|not a number")
      for each in ("-1", "-1e-300", "nan", "-nan", "inf", "-inf", "1e999", "x", "1_0", MANY_DIGITS)],
    *[(["sample", "RUN", f"--top-k={each}"], 2, "whole number") for each in ("0", "-1", "1.5", "x")],
    *[(["sample", "RUN", f"--top-p={each}"], 2, "top_p|not a number") for each in ("0", "-1", "1.01", "nan", "inf")],
    *[(["sample", "RUN", f"--max-length={each}"], 2, "whole number") for each in ("0", "-1", "1000001", "x")],
    *[(["sample", "RUN", f"--distance={each}"], 2, "whole number") for each in ("0", "-1", "101", "x")],
    *[(["sample", "RUN", f"--seed={each}"], 2, "whole number") for each in ("-1", "9223372036854775808", "1_0")],
    (["sample", "RUN", "--prefix", "kaX"], 1, r"lacks: 'X' \(position 3\)"),
    (["sample", "RUN", "--prefix", "\ud800"], 1, "lacks"),
    (["sample", "RUN", "--prefix", "a\0"], 1, "lacks"),
    (["sample", "RUN", "--prefix", "a\nb"], 1, "lacks"),
    (["sample", "RUN", "--prefix", "·"], 1, "lacks"),
    (["sample", "RUN", "--prefix", "ka" * 500_000], 2, "shorter prefix"),
    (["sample", "RUN", "--prefix", "kakaka", "--max-length", "6"], 2, "shorter prefix"),
    (["sample", "RUN", "--device", "gpu"], 2, "There are: cpu"),
    (["score", "RUN", "a\nb"], 2, "one line"),
    (["score", "RUN", "X" * 100_000], 1, "lacks"),
    (["score", "RUN", "\udcff"], 1, "lacks"),
    (["score", "RUN", "\x1b[2J"], 1, "lacks"),
    (["score", "RUN", "a" * 1_000_001], 2, "one line of at most"),
    (["evaluate", "RUN", "--part", "tset"], 2, "There are: train, dev, test"),
]  # fmt: skip


def name_of(case: tuple[list[str], int, str]) -> str:
    return ascii(" ".join(each if len(each) < 40 else each[:10] + "..." for each in case[0]))[1:-1]


@pytest.mark.parametrize("case", BAD, ids=name_of)
def test_each_gets_its_verdict(case, moreish, runs, types_unchecked):
    arguments, code, said = case
    before = sorted(path.name for path in Path().iterdir())
    ran = moreish(*[runs["bigram"] if each == "RUN" else each for each in arguments])
    assert ran.code == code and ran.out == "", ran
    text = " ".join(ran.err.replace("│", " ").split())
    assert (
        text
        and len(ran.err) < 3000 + 2 * max(map(len, arguments)) * (arguments[1:] == ["x" * 5000])
        and "\x1b" not in ran.err
    )
    assert re.search(said, text), text
    if ran.err.startswith("moreish: "):
        assert ran.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


def test_flags_may_stand_anywhere(moreish):
    for arguments in (
        ["--order", "2", "list.txt", "--run", "a"],
        ["--order=2", "list.txt", "--run=b"],
        ["list.txt", "--run", "c", "--smoothing", "add-1", "--order", "2"],
        ["--run", "d", "--smoothing=none", "--order=2", "--", "list.txt"],
        ["--json", "--order", "2", "--run", "e", "list.txt"],
    ):
        assert moreish("train", *arguments).code == 0
    for run in "abcde":
        assert moreish("show", run, "--json").json["config"]["order"] == 2


@pytest.mark.parametrize(("args", "expected"), [
    ([], ([], [])),
    (["a", "--json"], (["a", "--json"], [])),
    (["-n", "--json", "a"], (["-n", "--json", "a"], [])),  # a value that looks like a flag
    (["-n3", "-"], (["-n3", "-"], [])),
    (["--order", "3", "a"], (["a"], ["--order", "3"])),
    (["--order=3", "a"], (["a"], ["--order=3"])),
    (["--order", "--json", "a"], (["--json", "a"], ["--order"])),
    (["--order", "-3", "a"], (["a"], ["--order", "-3"])),
    (["--count=3", "--", "--json", "--json", "--order"], (["--count=3", "--", "--json", "--json", "--order"], [])),
    (["--order"], ([], ["--order"])),
])  # fmt: skip
def test_arguments_are_sorted_into_known_and_others(args, expected):
    class Parameter:
        def __init__(self, name, *opts, is_flag=False):
            self.name, self.opts, self.secondary_opts, self.is_flag = name, opts, (), is_flag

    count, json = Parameter("count", "-n", "--count"), Parameter("json", "--json", is_flag=True)
    assert sort_out(args, [count, json, Parameter("run", "run")]) == expected


def test_standard_input_that_is_none(moreish, monkeypatch):
    for stream, said in ((None, "closed"), (io.TextIOWrapper(io.BytesIO(b"")), "no lines")):
        monkeypatch.setattr(sys, "stdin", stream)
        for command in (["more", "-"], ["inspect", "-"], ["train", "-"]):
            ran = moreish(*command)
            assert ran.code == 1 and said in ran.err and ran.out == ""


@pytest.mark.parametrize("thing", ["a file", "vanished", "no checkpoint", "damaged", "no lines"])
@pytest.mark.parametrize("command", [
    ["show"], ["evaluate"], ["sample", "-n", "2"], ["score"], ["export", "--to", "arpa"], ["models", "--of"],
    ["evaluate", "--part", "test"],
], ids=" ".join)  # fmt: skip
def test_a_run_that_is_in_a_bad_way_is_one_line(thing, command, moreish, runs):
    shutil.copytree(runs["ngram"], "run")
    if thing == "a file":
        shutil.rmtree("run")
        Path("run").write_text("mine")
    elif thing == "vanished":
        shutil.rmtree("run")
    elif thing == "no checkpoint":
        Path("run/checkpoint-1.safetensors").unlink()
    elif thing == "damaged":
        data = bytearray(Path("run/checkpoint-1.safetensors").read_bytes())
        data[-1] ^= 1
        Path("run/checkpoint-1.safetensors").write_bytes(data)
    elif thing == "no lines":
        Path("run/lines.gz").unlink()
    arguments = [command[0], *command[1:], "run"] if command[0] == "models" else [command[0], "run", *command[1:]]
    ran = moreish(*arguments, *(["ka"] if command == ["score"] else []))
    assert ran.code == 1 and ran.out == "" and ran.err.startswith("moreish: ") and ran.err.count("\n") == 1


def test_a_newer_checkpoint_that_is_damaged_is_a_warning_on_standard_error(moreish, runs):
    shutil.copytree(runs["ngram"], "run")
    data = Path("run/checkpoint-1.safetensors").read_bytes()
    Path("run/checkpoint-2.safetensors").write_bytes(data[:-1] + b"\0\0")
    ran = moreish("score", "run", "ka", "--json")
    assert ran.json["texts"][0]["text"] == "ka"
    assert ran.err.count("\n") == 1 and ran.err.startswith("moreish: warning: checkpoint-2.safetensors")
    assert "Using checkpoint-1.safetensors instead" in ran.err
