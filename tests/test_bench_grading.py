"""How the grader is measured: files drawn evenly, answers judged strictly, a campaign that goes on where it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench_modules import bench
from solved_exercises import SOLVED, pools, variants

grading, grading_tasks = map(bench, ("grading", "grading_tasks"))


def _answer(status="right", first="", cause="", message=""):
    return SimpleNamespace(status=status, first_wrong=first, cause=cause, message=message)


def test_the_drawn_are_spread_and_the_last_are_new():
    first = grading_tasks.draw(pools()[0], 60, 0)
    last = grading_tasks.draw(pools()[0], 40, 5, frozenset(task.key for task in first), all_of_it=True)
    assert first == grading_tasks.draw(pools()[0], 60, 0)
    assert len({task.key for task in first + last}) == 100
    assert {task.exercise for task in first} == {task.exercise for task in last} == set(SOLVED)
    for drawn in (first, last):
        assert len({task.kind for task in drawn}) >= 12


@pytest.mark.parametrize(
    "said, located, score",
    [
        (_answer("wrong", "dx", "lost branch"), True, 1.0),
        (_answer("wrong", "x", "lost branch"), True, 1.0),  # named without its d
        (_answer("wrong", "dx", "unknown"), True, 0.5),
        (_answer("wrong", "dx", "wrong sign"), True, 0.0),
        (_answer("wrong", "dy", "lost branch"), False, 0.0),
        (_answer("broken", "dx", "lost branch"), False, 0.0),
        (_answer("right", None, None), False, 0.0),
    ],
)
def test_answers_are_judged(said, located, score):
    task = grading_tasks.Task("mutants", "tied", "", "term dropped", "dx", 3, "", ("lost branch",))
    row = grading.judge(task, said)
    assert (row["located"], row["score"], row["refused"]) == (located, score, said.status != "right")


def test_a_file_that_cannot_be_run_is_judged_by_its_line():
    task = grading_tasks.Task("broken", "tied", "", "transposed", "dx", 12)
    assert grading.judge(task, _answer("broken", message="line 12: 3 x 4 and 3 x 4 do not fit"))["located"]
    assert not grading.judge(task, _answer("broken", message="line 123: 3 x 4 and 3 x 4 do not fit"))["located"]


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path):
    tasks = grading_tasks.draw(pools()[0], 20, 0) + variants()[:5]
    by_text = {task.source: task for task in tasks}
    journal = grading.Journal(tmp_path / "grading.jsonl")
    graded = []

    def grade(path):
        if len(graded) == 7:
            raise KeyboardInterrupt
        task = by_text[path.read_text()]
        graded.append(task.key)
        if len(graded) == 3:
            raise ValueError("the grader fell over")
        return _answer("wrong" if task.node else "right", task.node, task.causes[0] if task.causes else "")

    with pytest.raises(KeyboardInterrupt):
        grading.campaign(tasks, grade, "one", journal, lambda text: None)
    graded.append("the interruption")
    assert grading.campaign(tasks, grade, "one", journal, lambda text: None) == 18
    assert grading.campaign(tasks, grade, "one", journal, lambda text: None) == 0
    rows = journal.rows()
    assert [row["key"] for row in rows] == [task.key for task in tasks]
    assert [row["status"] for row in rows if row["message"]] == ["crashed"]
    *_, whole = grading.lines(rows, "one")
    assert whole[2:5] == ["20", "95.0 %", "95.0 %"]
    assert grading.holds(rows, "one")
    assert all(len(line) == len(grading.HEADINGS) for line in grading.lines(rows, "one"))
    assert "5, of which 0 were refused" in grading.words(rows, "one")[0]
    assert not grading.holds([{**row, "refused": True} for row in rows], "one")
    assert not grading.holds(rows, "another")  # a changed grader is measured anew
    assert grading.campaign(tasks[:1], grade, "another", journal, lambda text: None) == 1


def test_the_last_seed_is_drawn_once_for_each_version(tmp_path):
    journal = grading.Journal(tmp_path / "out" / "grading.jsonl")
    seed = grading.freeze(journal, "one", "abc", 100)
    assert grading.freeze(journal, "one", "def", 100) == seed
    grading.freeze(journal, "two", "def", 100)
    assert [row["commit"] for row in journal.rows()] == ["abc", "def"]
    assert "before this one: 1." in grading.words(journal.rows(), "two")[-1]


def test_the_graders_version_follows_what_it_imports(tmp_path):
    files = {
        "grader.py": "from moreish.explaining.causes import find\nimport torch\n",
        "causes.py": "from moreish.explaining import shapes_of\n",
        "shapes_of.py": 'started = "child.py"\n',
        "child.py": "",
        "tape.py": "",
        "exercises/__init__.py": "",
        "exercises/cells.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = grading.grader_files(tmp_path, ("exercises", "grader"))
    assert {path.relative_to(tmp_path).as_posix() for path in found} == set(files) - {"tape.py"}
    before = grading.grader_hash(found)
    (tmp_path / "causes.py").write_text("from moreish.explaining import shapes_of  # changed\n")
    assert grading.grader_hash(found) != before
