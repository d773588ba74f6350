"""What the grader is measured with: which mutants and which right files, drawn evenly over kinds and exercises."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mutants import mutants
from solved import Bench, Unfit
from variants import variant

DRAWN_FIRST = "0123456789ab"
"""How the hash of a file begins that may be drawn before the grader is frozen: a quarter of each kind is kept back."""
MOST_REWRITINGS = 6
TELLS_APART = {"+= made =", "term dropped", "maximum dropped"}
"""Kinds that may give the same numbers, and that the source tells apart: whether a second `=` stands there."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """A file to be graded, and what a grader should say of it."""

    stage: str
    """mutants, final, variants or broken."""
    exercise: str
    source: str
    kind: str
    """The kind of mistake; of a right file, its rewritings."""
    node: str = ""
    line: int = 0
    what: str = ""
    causes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The file's hash."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:24]


def pool(benches: dict[str, Bench], seed: int, stage: str, tell: Tell) -> tuple[list[Task], list[Task]]:
    """All mutants that are wrong beyond doubt at the node that was changed, and those that cannot be run."""
    wrong: list[Task] = []
    broken: list[Task] = []
    left_out = 0
    for exercise, bench in benches.items():
        alike: dict[tuple[object, ...], list[Task]] = {}
        for mutant in mutants(bench.solved, seed, bench.shapes):
            named = (exercise, mutant.source, mutant.kind)
            try:
                nodes = bench.wrong(mutant.source)
            except Unfit as error:
                if error.line is not None:
                    broken.append(Task("broken", *named, mutant.node, error.line, mutant.what))
                continue
            if not nodes or nodes[0] != mutant.node:
                left_out += 1
                continue
            task = Task(stage, *named, nodes[0], mutant.line, mutant.what, tuple(sorted(mutant.causes)))
            alike.setdefault((nodes[0], *bench.numbers(mutant.source, nodes[0])), []).append(task)
        wrong += [task for tasks in alike.values() for task in _share(tasks)]
    tell(f"{len(wrong)} mutants are wrong, {len(broken)} cannot be run, {left_out} are right after all or in doubt")
    return wrong, broken


def _share(tasks: list[Task]) -> Iterable[Task]:
    """Mutants of different kinds with the same numbers may be called by the causes of either."""
    for task in tasks:
        others = [t for t in tasks if not {t.kind, task.kind} <= TELLS_APART]
        causes = {cause for t in [task, *others] for cause in t.causes}
        yield Task(task.stage, task.exercise, task.source, task.kind, task.node, task.line, task.what,
                   tuple(sorted(causes)))  # fmt: skip


def draw(
    tasks: list[Task], number: int, seed: int, taken: frozenset[str] = frozenset(), all_of_it: bool = False
) -> list[Task]:
    """So many tasks, one of each kind in turn, and of each kind one of each exercise in turn; `taken` are left out.

    Unless `all_of_it`, a quarter is kept back, so that of rare kinds too there is something new left for the end.
    """
    chance = random.Random(seed)
    by_kind: dict[str, dict[str, list[Task]]] = {}
    for task in sorted(tasks, key=lambda task: task.key):
        if task.key not in taken and (all_of_it or task.key[0] in DRAWN_FIRST):
            by_kind.setdefault(task.kind, {}).setdefault(task.exercise, []).append(task)
    queues: list[list[Task]] = []
    for exercises in by_kind.values():
        for of_one in exercises.values():
            chance.shuffle(of_one)
        names = sorted(exercises)
        chance.shuffle(names)
        rounds = range(max(len(of_one) for of_one in exercises.values()))
        queues.append([exercises[name][turn] for turn in rounds for name in names if turn < len(exercises[name])])
    drawn: list[Task] = []
    while len(drawn) < number and any(queues):
        drawn += [queue.pop(0) for queue in queues if queue]
    return drawn[:number]


def right_files(benches: dict[str, Bench], number: int, seed: int) -> list[Task]:
    """So many right files written differently, each exercise in turn, with 1 to 6 rewritings."""
    found: dict[str, Task] = {}
    for turn in range(4 * number):
        if len(found) == number:
            break
        exercise = sorted(benches)[turn % len(benches)]
        bench = benches[exercise]

        def is_right(source: str, bench: Bench = bench) -> bool:
            try:
                return bench.wrong(source) == []
            except Unfit:
                return False

        made = variant(bench.solved, seed * 1_000_003 + turn, 1 + (turn // len(benches)) % MOST_REWRITINGS, is_right)
        if made is not None:
            task = Task("variants", exercise, made.source, ", ".join(made.rewritings))
            found.setdefault(task.key, task)
    return list(found.values())
