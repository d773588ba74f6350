"""An exercise: a solved function in the lecture's style, from which everything that a learner sees is derived.

The function's forward is given; below the comment `# Backward` stands one `d<name>` for each derivative asked for, from
the loss back. The learner's file is that function with the backward taken out, so text and solution cannot disagree.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moreish.errors import UsageError, did_you_mean
from moreish.randomness import stream

FUNCTION = "exercise"
"""What the learner's function is called."""
DRAWS = 2
"""Inputs are drawn twice, with other sizes, so that no coincidence hides a mistake."""
GIVEN = "# Forward: given."
YOURS = "# Backward: yours. d<name> is the derivative of loss with respect to <name>, and has its shape."


class Draw:
    """One draw of an exercise's inputs, in float64. `index` says which: sizes differ from draw to draw.

    Numbers are rounded to float32 first, so that both precisions hold the same inputs.
    """

    def __init__(self, name: str, index: int):
        self.index = index
        self._generator = stream(index, f"exercise {name}")

    def sizes(self, *choices: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of this draw, one tuple for each."""
        return choices[self.index]

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal numbers of mean 0."""
        drawn = torch.randn(shape, generator=self._generator, dtype=torch.float64) * scale
        return drawn.float().double()

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers from `low` to `high`, such as those that must be positive."""
        drawn = torch.rand(shape, generator=self._generator, dtype=torch.float64) * (high - low) + low
        return drawn.float().double()

    def whole(self, below: int, *shape: int) -> Tensor:
        """Whole numbers from 0 on, such as targets; the first is drawn again as the last, so that one repeats."""
        drawn = torch.randint(below, shape, generator=self._generator)
        if drawn.numel() > 1:
            drawn.view(-1)[-1] = drawn.view(-1)[0]
        return drawn

    def mask(self, keep: float, *shape: int) -> Tensor:
        """Ones with probability `keep`, else zeros; the same ones whatever the default dtype is."""
        return (torch.rand(shape, generator=self._generator, dtype=torch.float32) < keep).double()


@dataclass(frozen=True)
class Exercise:
    """One exercise. `solved` is the solved function itself; its source is the one place where the exercise stands."""

    id: str
    title: str
    solved: Callable[..., dict[str, object]]
    draw: Callable[[Draw], dict[str, Tensor]]
    """Its inputs, by the names of the function's arguments."""
    about: str
    """A sentence or two at the head of the file: what is computed, and where it comes from."""
    hints: tuple[str, ...]
    """From general to particular; formulas of single nodes come out of the solution."""

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """The signature, the forward and the backward, as lines of text."""
        text = textwrap.dedent(inspect.getsource(self.solved))
        signature = text[: text.index("\n") + 1].replace(f"def {self.solved.__name__}(", f"def {FUNCTION}(", 1)
        body = text[text.index("\n") + 1 :]
        marker = next(line for line in body.splitlines(keepends=True) if line.strip().startswith("# Backward"))
        forward, backward = body.split(marker)
        return signature, forward, backward[: backward.rindex("    return locals()")]

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The derivatives asked for, such as `dlogits`, from the loss back."""
        names = {name for name in _assigned(self.backward) if name.startswith("d") and name[1:] in self._computed}
        return tuple(dict.fromkeys(name for name in _assigned(self.backward) if name in names))

    @cached_property
    def _computed(self) -> set[str]:
        return {*_assigned(self.forward), *inspect.signature(self.solved).parameters}

    @cached_property
    def forward(self) -> tuple[ast.stmt, ...]:
        """The given statements."""
        return tuple(ast.parse(textwrap.dedent(self._parts[1])).body)

    @cached_property
    def backward(self) -> tuple[ast.stmt, ...]:
        """The solution's statements."""
        return tuple(ast.parse(textwrap.dedent(self._parts[2])).body)

    @cached_property
    def solution(self) -> str:
        """The text of the file, filled in correctly."""
        return self._file(self._parts[2])

    @cached_property
    def blank(self) -> str:
        """The text of the file to fill in."""
        return self._file("".join(f"    {node} = None\n" for node in self.nodes))

    def _file(self, backward: str) -> str:
        signature, forward, _ = self._parts
        about = textwrap.fill(self.about, 100)
        needs_f = any(isinstance(each, ast.Name) and each.id == "F" for each in ast.walk(ast.parse(self._plain)))
        imports = "import torch\n" + ("from torch.nn import functional as F\n" if needs_f else "")
        return (
            f'"""{self.title}.\n\nexercise: {self.id}\n\n{about}\n'
            f'Fill in each None, then: moreish exercise check FILE\n"""\n\n{imports}\n\n'
            f"{signature}    {GIVEN}\n{forward.rstrip()}\n\n    {YOURS}\n{backward}    return locals()\n"
        )

    @cached_property
    def _plain(self) -> str:
        return textwrap.dedent(self._parts[1]) + textwrap.dedent(self._parts[2])

    def drawn(self, index: int = 0) -> dict[str, Tensor]:
        """The inputs of one draw, in float64."""
        return self.draw(Draw(self.id, index))

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The inputs to compute with in a notebook, in float32; in float64 (`.double()`) they are the same numbers."""
        return {
            name: each.float() if isinstance(each, Tensor) and each.is_floating_point() else each
            for name, each in self.drawn(0).items()
        }

    def forward_values(self, inputs: dict[str, Tensor] | None = None) -> dict[str, object]:
        """Every value of the given forward by its name, `loss` the last, on these inputs or the notebook's own."""
        values: dict[str, object] = dict(self.inputs if inputs is None else inputs)
        run_statements(self.forward, values)
        return values

    def consumers(self, node: str) -> list[str]:
        """The given statements that use what `node` is the derivative of, as text."""
        return [
            ast.unparse(statement)
            for statement in self.forward
            if any(isinstance(each, ast.Name) and each.id == node[1:] and isinstance(each.ctx, ast.Load)
                   for each in ast.walk(statement))
        ]  # fmt: skip

    def formula(self, node: str) -> str:
        """The solution's statements for one node.

        Raises:
            UsageError: the exercise has no such node.
        """
        self.check_node(node)
        return "\n".join(ast.unparse(each) for each in self.backward if node in _assigned([each]))

    def check_node(self, node: str) -> None:
        """Raises UsageError where this exercise does not ask for `node`."""
        if node not in self.nodes:
            raise UsageError(f"{self.id} does not ask for {node!r:.60}. {did_you_mean(node, self.nodes)}")


def run_statements(statements: tuple[ast.stmt, ...], values: dict[str, object]) -> None:
    """Run statements of an exercise; what they assign lands in `values`."""
    scope: dict[str, object] = {"torch": torch, "F": torch.nn.functional, **values}
    exec(compile(ast.fix_missing_locations(ast.Module([*statements], [])), "<given>", "exec"), scope)
    values.update({name: scope[name] for name in _assigned(statements) if name in scope})


def _assigned(statements: tuple[ast.stmt, ...] | list[ast.stmt]) -> list[str]:
    """The names that statements assign, in order, each as often as it is."""
    return [
        each.id
        for statement in statements
        for each in ast.walk(statement)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    ]
