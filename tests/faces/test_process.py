"""What only a process of its own can show: start-up, streams that are closed or full, signals, and environments."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import MADE_UP

PROGRAM = [sys.executable, "-m", "moreish"]
QUICK = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def there(tmp_path) -> Path:
    (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in MADE_UP))
    return tmp_path


def call(there: Path, *arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `moreish ARGUMENTS`, or a shell line in which $M is moreish."""
    env = {**os.environ, **QUICK, "MOREISH_CACHE": str(there / "cache"), "M": " ".join(PROGRAM), **environment}
    command = ["bash", "-c", shell] if shell else [*PROGRAM, *arguments]
    return subprocess.run(command, cwd=there, env=env, capture_output=True, text=True, timeout=60)


SAYS_WHAT_IS_LOADED = """
import json, sys
from moreish.faces.cli import run
codes = [run(arguments) for arguments in json.loads(sys.argv[1])]
heavy = {"torch", "numpy", "sympy", "torch._dynamo", "torch._inductor", "scipy", "pandas"}
print(*codes, file=sys.stderr)
print(*sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize(("several", "codes", "loaded"), [
    (["--help"], "0", ""), (["more --help"], "0", ""), (["--version"], "0", ""), (["nosuch"], "2", ""),
    (["inspect list.txt", "inspect names --json", "lists"], "0 0 0", "numpy"),
    (["sample RUN -n 2"], "0", "numpy torch"),
    (["train list.txt --model mlp --optimizer muon --steps 2 --run run"], "0", "numpy torch"),
], ids=", ".join)  # fmt: skip
def test_commands_load_no_more_than_they_need(several, codes, loaded, there, runs):
    """Torch costs a second or two; its compiler, which some innocent calls load, as much again."""
    asked = [[runs["ngram"] if each == "RUN" else each for each in line.split()] for line in several]
    ran = subprocess.run([sys.executable, "-c", SAYS_WHAT_IS_LOADED, json.dumps(asked)], cwd=there, capture_output=True,
                         text=True, env={**os.environ, **QUICK})  # fmt: skip
    assert ran.stderr.splitlines()[-2] == codes, ran.stderr
    assert set(ran.stderr.splitlines()[-1].split()) <= set(loaded.split())


def test_the_reader_may_stop_reading(there, runs):
    for line in ("$M lists names | head -1", "$M lists names --json | head -c 5", "$M inspect names | true",
                 f"$M sample {runs['ngram']} -n 60000 | head -2"):  # fmt: skip
        ran = call(there, shell=line + '; echo "${PIPESTATUS[0]}"')
        assert ran.stderr == "" and ran.stdout.endswith("0\n"), line


def test_a_full_disk_behind_standard_output_is_one_line(there):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for line in ("$M lists names > /dev/full", "$M lists --json > /dev/full", "$M lists > /dev/full"):
        ran = call(there, shell=line)
        assert ran.returncode == 1 and ran.stderr.count("\n") == 1, ran.stderr
        assert re.match(r"moreish: cannot use standard output: No space left on device\.", ran.stderr)


def test_closed_streams_are_no_traceback(there):
    for line, code in (("$M lists >&-", 0), ("$M lists --json >&-", 0), ("$M inspect list.txt 2>&-", 0),
                       ("$M lists nosuch 2>&-", 2), ("$M inspect nosuch >&- 2>&-", 1)):  # fmt: skip
        ran = call(there, shell=line)
        assert (ran.returncode, ran.stderr) == (code, ""), line
        assert "Traceback" not in ran.stdout and "moreish:" not in ran.stdout, "notes never go to standard output"
    ran = call(there, shell="$M inspect - <&-")
    assert ran.returncode == 1 and ran.stderr.startswith("moreish: standard input is closed")
    assert (
        call(there, shell="$M inspect - --json < list.txt").stdout
        == call(there, shell="cat list.txt | $M inspect - --json").stdout
    )


ONE_AFTER_ANOTHER = """
import json, sys
from moreish.faces.cli import run
codes = []
for arguments in json.loads(sys.argv[1]):
    if codes:
        print(end="\\f", flush=True)
        print(end="\\f", file=sys.stderr, flush=True)
    codes.append(run(arguments))
print(*codes)
"""


@pytest.mark.parametrize("environment", [
    {"COLUMNS": "1"}, {"COLUMNS": "-5"}, {"COLUMNS": "many"}, {"COLUMNS": "100000", "TERM": "dumb"}, {"LC_ALL": "C"},
    {"LC_ALL": "nosuch"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
], ids=str)  # fmt: skip
def test_odd_environments(environment, there):
    (there / "é.txt").write_text("é\nñandú\n日本\n")
    env = {**os.environ, **QUICK, "MOREISH_CACHE": str(there / "cache"), **environment}
    calls = [["inspect", "é.txt"], ["inspect", "é.txt", "--json"], ["nosuch"]]
    command = [sys.executable, "-c", ONE_AFTER_ANOTHER, json.dumps(calls, ensure_ascii=False)]
    ran = subprocess.run(command, cwd=there, env=env, capture_output=True, text=True, timeout=60)
    (shown, told, refused), (*quiet, said) = (stream.split("\f") for stream in (ran.stdout, ran.stderr))
    assert ran.returncode == 0 and shown and refused == "0 0 2\n"
    assert quiet == ["", ""] and "Traceback" not in said and said
    found = json.loads(told)
    assert found["symbols"]["é"] == 1 and found["lines"] == 3


def test_without_a_home(there):
    script = (
        "unset HOME MOREISH_CACHE XDG_CACHE_HOME; export XDG_CACHE_HOME=$PWD/xdg; $M more list.txt -n 2 --model bigram"
    )
    ran = call(there, shell=script)
    assert ran.returncode == 0 and len(ran.stdout.splitlines()) == 2 and ran.stderr == ""
    assert list((there / "xdg" / "moreish").iterdir())


def test_ctrl_c_ends_at_once_and_harms_nothing(there):
    env = {**os.environ, **QUICK, "MOREISH_CACHE": str(there / "cache")}
    command = [*PROGRAM, "train", "list.txt", "--model", "one-layer", "--steps", "1000000000", "--run", "run"]
    # Started in the background of a shell, the tests ignore Ctrl-C, and a process inherits that.
    going = subprocess.Popen(
        command, cwd=there, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 50
        while not list(there.glob("run/**/events.jsonl")):
            assert time.monotonic() < deadline and going.poll() is None
            time.sleep(0.02)
        going.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = going.communicate(timeout=20)
        assert time.monotonic() - began < 5
    finally:
        going.kill()
    assert (going.returncode, out, err) == (130, "", "moreish: stopped.\n")
    assert not (there / "run/.lock-owner").exists()
    assert call(there, "show", "run").returncode == 1


def test_on_a_terminal(there, runs):
    """Colours and words on a terminal; lines alone in a pipe, though the other stream is a terminal."""
    leader, follower = pty.openpty()
    try:
        env = {**os.environ, **QUICK, "TERM": "xterm-256color", "COLUMNS": "90"}
        env = {name: value for name, value in env.items() if name != "NO_COLOR"}
        command = [*PROGRAM, "sample", runs["ngram"], "-n", "5", "--seed", "1"]
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=follower, timeout=60)
        lines = ran.stdout.decode().splitlines()
        assert ran.returncode == 0 and len(lines) == 5 and not any("\x1b" in line for line in lines)
        going = subprocess.Popen(command, env=env, stdout=follower, stderr=subprocess.DEVNULL)
        screen = b""
        while b"seed 1" not in screen:
            screen += os.read(leader, 65536)
        assert going.wait(60) == 0
    finally:
        os.close(follower)
        os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.decode())
    assert "\x1b[" in screen.decode() and all(line in text for line in lines) and "nats" in text


LEARNS_AND_DRAWS = """
import hashlib, sys
import torch
import moreish
torch.set_num_threads(1)
source, digest = sys.argv[1], hashlib.sha256()
RECIPES = {"ngram": {"order": 4}, "bigram": {"smoothing": "add-0.1"}, "one-layer": {"steps": 30, "seed": 7}}
for name, asked in RECIPES.items():
    for split in ("unique", "lecture"):
        trained = moreish.fit(moreish.Corpus.read(source, split=split), name, **asked)
        for key, tensor in sorted(trained.model.state_dict().items()):
            digest.update(key.encode() + tensor.numpy().tobytes())
        digest.update(trained.corpus.lines.data.tobytes())
        digest.update(repr(moreish.evaluate(trained).to_dict()).encode())
        for how in ({}, {"temperature": 0.7, "top_k": 5}, {"new_only": True, "distinct": True}):
            digest.update(repr(moreish.sample(trained, 40, seed=3, **how).to_dict()).encode())
print(digest.hexdigest())
"""


def test_the_same_seed_gives_the_same_bits_in_any_environment(there):
    """R17: across processes, hash seeds, working directories, locales and time zones."""
    environments = [
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
        {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "Pacific/Kiritimati"},
        {"PYTHONHASHSEED": "4294967295", "LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
    ]
    found = set()
    for i, environment in enumerate(environments):
        where = there / f"elsewhere {i}"
        where.mkdir()
        (where / "list.txt").write_bytes((there / "list.txt").read_bytes())
        ran = subprocess.run(
            [sys.executable, "-c", LEARNS_AND_DRAWS, "list.txt"], cwd=where, capture_output=True, text=True,
            env={**os.environ, **QUICK, **environment},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        found.add(ran.stdout)
    assert len(found) == 1 and len(found.pop().strip()) == hashlib.sha256().digest_size * 2
