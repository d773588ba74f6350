"""Files that no grader should have to meet: each gets a sentence, and nothing else is harmed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from moreish.errors import StorageError, UsageError
from moreish.explaining.exercises import exercise
from moreish.explaining.grading.grader import grade_file
from moreish.explaining.grading.judging import judge
from moreish.explaining.grading.sandbox import JUDGING, PRINTED
from moreish.explaining.grading.trial import failed

SOLUTION = exercise("linear").solution
BLANK = exercise("linear").blank
END = "    return locals()\n"


def with_line(line: str, text: str = SOLUTION) -> str:
    """The file with a line before its return."""
    return text.replace(END, f"    {line}\n{END}")


MISSING = SOLUTION.replace("import torch\n", "import torch\nimport nosuch\n")
IN_PROCESS = {
    "raises": (with_line("1 / 0"), "ZeroDivisionError: division by zero", True),
    "a missing module": (MISSING, "'nosuch', which is not", True),
    "returns None": (SOLUTION.replace(END, "    return None\n"), "returned None", True),
    "returns a tensor": (SOLUTION.replace(END, "    return dx\n"), "of type Tensor", True),
    "returns too little": (SOLUTION.replace(END, "    return {'dy': dy}\n"), "does not return dproduct", False),
    "returns something else": (SOLUTION.replace(END, "    return {**locals(), 'dx': dy}\n"), "another value", False),
    "a node of a wrong type": (SOLUTION.replace("dy.sum(0)", "'sum'"), "db is of type str, not a tensor", True),
    "changes its input": (with_line("x += 1"), "changes its input 'x'", True),
    "changes its input under another name": (with_line("y2 = x; y2 += 1"), "changes its input 'x'", True),
    "changes the forward": (with_line("product.zero_()"), "changes 'product', which is given", True),
    "rewrites the forward": (SOLUTION.replace("y = product + b", "y = product - b"), "changes 'y'", True),
    "exits": (with_line("raise SystemExit"), "ends the process (SystemExit)", True),
    "exits at once": ("import sys\nsys.exit(3)\n" + SOLUTION, "ends the process (SystemExit)", True),
    "calls itself": (with_line("(lambda f: f(f))(lambda f: f(f))"), "calls itself without end", True),
    "a name that is not there": (SOLUTION.replace("dy.sum(0)", "dz.sum(0)"), "name 'dz' is not defined", True),
    "another signature": (SOLUTION.replace("(x, w, b, weight)", "(x, w)"), "TypeError", False),
    "not a function": (SOLUTION + "\nexercise = 3\n", "TypeError", False),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_broken_file_gets_a_sentence_with_its_line(name):
    text, said, has_line = IN_PROCESS[name]
    found = judge(exercise("linear"), text)
    assert found.status == "broken" and said in found.message, found
    assert (found.line is not None) == has_line, found
    if has_line:
        assert found.message.startswith(f"Line {found.line}: ")
        before, after = SOLUTION.splitlines(), text.splitlines()
        changed = [i for i, line in enumerate(after, 1) if line not in before]
        assert found.line in changed or "import sys" in text, (found.line, changed)
    assert "\n" not in found.message and found.message.endswith(".")


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "x.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


UNREAD = {
    "does not parse": (SOLUTION.replace("dy.sum(0)", "dy.sum(0"), "it does not parse", 21),
    "tabs and spaces": (with_line("\tif x:\n\treturn"), "it does not parse", 24),
    "a null byte": (SOLUTION + "\0", "it does not parse", None),
    "nested too deeply": (SOLUTION + "(" * 50_000, "it does not parse", None),
    "no function": ('"""exercise: linear"""\n\nexercise: linear\n', "no function called 'exercise'", None),
    "not UTF-8": (SOLUTION.encode().replace(b"Backward", b"Backw\xe4rd"), "not in UTF-8 (byte 0xe4)", 18),
    "too long": (SOLUTION + "#" * (1 << 20), "is no exercise", None),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_that_cannot_even_be_read_starts_nothing(name, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "moreish.explaining.grading.grader.judge_apart", lambda *_: pytest.fail("a process was started")
    )
    text, said, line = UNREAD[name]
    found = grade_file(written(tmp_path, text))
    assert found.status == "broken" and said in found.message, found
    assert line is None or (found.line == line and found.message.startswith(f"Line {line}: ")), found


def test_an_untouched_file_is_not_done(tmp_path):
    found = grade_file(written(tmp_path, BLANK))
    assert (found.status, found.remaining, found.line) == ("not done", exercise("linear").nodes, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOLUTION.replace("exercise: linear", ""), "does not say which exercise"),
        (SOLUTION.replace("exercise: linear", "exercise: lineal"), "Did you mean 'linear'"),
        ("", "does not say which exercise"),
    ],
)
def test_a_file_of_no_exercise(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        grade_file(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(StorageError):
            grade_file(path)
    with pytest.raises(UsageError, match="a limit of 0 seconds"):
        grade_file(written(tmp_path, SOLUTION), seconds=0.0)


def test_what_hangs_is_stopped_with_all_that_it_started(tmp_path):
    """It prints without end, and leaves a copy of itself behind that would go on for ever."""
    mark = tmp_path / "alive"
    text = SOLUTION.replace("import torch\n", "import torch, os, time, pathlib\n")
    copy = f"if os.fork() == 0:\n        while True: pathlib.Path({str(mark)!r}).touch(); time.sleep(0.01)"
    text = with_line(copy, text)
    text = with_line("while True: print('x' * 999)", text)
    began = time.monotonic()
    found = grade_file(written(tmp_path, text), seconds=1.0)
    assert found.status == "broken" and "ran for over 1 seconds" in found.message
    assert time.monotonic() - began < 30 and len(found.printed) == PRINTED
    assert mark.exists()
    mark.unlink()
    time.sleep(0.2)
    assert not mark.exists(), "the copy still runs"


def test_what_ends_the_process_or_forks_it(tmp_path):
    text = SOLUTION.replace("import torch\n", "import torch, os\n")
    found = grade_file(written(tmp_path, with_line("os._exit(0)", text)))
    assert found.status == "broken" and "ended the process by itself, with code 0" in found.message
    found = grade_file(written(tmp_path, with_line("print('hello'); os.fork()", text)))
    assert found.status == "right" and found.printed.startswith("hello")


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no such limit")
def test_what_eats_memory_and_what_crashes(tmp_path):
    found = grade_file(written(tmp_path, with_line("y2 = torch.ones(1 << 29)")), memory=1 << 28)
    assert found.status == "broken" and "more memory than there is" in found.message and found.line
    text = SOLUTION.replace("import torch\n", "import torch, os, signal\n")
    found = grade_file(written(tmp_path, with_line("os.kill(os.getpid(), signal.SIGSEGV)", text)))
    assert found.status == "broken" and "SIGSEGV" in found.message


def test_the_file_runs_elsewhere_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = SOLUTION.replace("import torch\n", "import torch, os, sys\n")
    text = with_line("open('left', 'w').close(); print(os.getcwd(), sys.flags.isolated)", text)
    found = grade_file(written(tmp_path, text))
    assert found.status == "right" and [each.name for each in tmp_path.iterdir()] == ["x.py"]
    place, isolated = found.printed.split()
    assert isolated == "1" and not Path(place).exists() and place != str(tmp_path)


def test_moreishs_own_rooms_are_no_modules_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "tests" not in Path(each).parts])  # has a text/ too
    found = grade_file(written(tmp_path, SOLUTION.replace("import torch\n", "import torch\nimport text\n")))
    assert found.status == "broken" and "it imports 'text', which is not installed here" in found.message, found


@pytest.mark.parametrize("terms", [300, 900])
def test_a_long_sum_is_judged_like_any_other_mistake(terms, monkeypatch):
    monkeypatch.setattr("moreish.explaining.grading.case.SECONDS", 0.5)
    text = SOLUTION.replace("dx = dproduct @ w.T", f"dx = {'+'.join(['1'] * terms)}")
    found = judge(exercise("linear"), text)
    assert (found.status, found.first_wrong, found.own) == ("wrong", "dx", ("dx",)), found


def test_what_is_nested_too_deep_is_told_so(tmp_path):
    text = SOLUTION.replace("dx = dproduct @ w.T", f"dx = {'+'.join(['1'] * 990)}")
    found = grade_file(written(tmp_path, text))
    assert found.status == "broken" and "nested too deep" in found.message, found


def test_what_the_function_returns_may_be_of_any_kind_of_dict():
    odd = "class Odd(dict):\n    def get(self, *_):\n        raise KeyError('no')\n\n\ndef exercise("
    text = SOLUTION.replace("def exercise(", odd).replace(END, "    return Odd(locals())\n")
    assert judge(exercise("linear"), text).status == "right"
    worse = text.replace("def get", "def __iter__").replace("Odd(locals())", "Odd(locals(), more=1)")
    found = judge(exercise("linear"), worse)
    assert found.status == "right" or "KeyError" in found.message


def test_a_given_number_replaced_by_a_tensor_is_named():
    text = exercise("cross_entropy").solution.replace(
        "    return locals()\n", "    n = torch.zeros(3)\n    return locals()\n"
    )
    found = judge(exercise("cross_entropy"), text)
    assert found.status == "broken" and "changes 'n', which is given" in found.message, found


def test_the_graders_own_failure_is_not_the_learners():
    found = failed("linear", KeyError("lost"))
    assert found.status == "broken" and "the grader itself failed (KeyError: 'lost')" in found.message
    assert "nested too deep" in failed("linear", RecursionError()).message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the environment of a process")
def test_what_leaves_the_group_is_ended_too(tmp_path):
    text = SOLUTION.replace("import torch\n", "import torch, subprocess\n")
    text = with_line("p = subprocess.Popen(['sleep', '47'], start_new_session=True); print(p.pid, flush=True)", text)
    found = grade_file(written(tmp_path, text))
    assert found.status == "right"
    for pid in map(int, found.printed.split()):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and _runs(pid):
            time.sleep(0.01)
        assert not _runs(pid), "the sleeper still runs"


def _runs(pid: int) -> bool:
    """Whether a process is there and no corpse that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


SLOW = SOLUTION.replace("import torch\n", "import time\nimport torch\n").replace(
    "dx = dproduct @ w.T", "time.sleep(PAUSE)\n    dx = (time.sleep(PAUSE), (dproduct * 3.1 + 1.0).cos() @ w.T)[1]"
)


@pytest.mark.parametrize("pause", [0.3, 1.5, 2.2])
def test_a_slow_file_is_run_again_only_while_there_is_time(monkeypatch, pause):
    """By a clock that goes on only while the file sleeps; one call sleeps twice, and there are two."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    found = judge(exercise("linear"), SLOW.replace("PAUSE", str(pause)))
    assert (found.status, found.first_wrong, found.cause) == ("wrong", "dx", "unknown")
    assert "runs too slowly to try every known mistake" in found.message
    assert clock[0] < JUDGING


def test_the_node_is_named_even_where_the_search_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("moreish.explaining.grading.sandbox.JUDGING", 0.5)
    text = SOLUTION.replace("import torch\n", "import time\nimport torch\n\nSEEN = []\n")
    text = text.replace(
        "dx = dproduct @ w.T", "SEEN.append(1)\n    dx = (time.sleep(99 * (len(SEEN) > 2)), dproduct)[1]"
    )
    found = grade_file(written(tmp_path, text))
    assert (found.status, found.first_wrong, found.cause) == ("wrong", "dx", "unknown"), found
    assert "too slowly" in found.message and "here" not in found.message
