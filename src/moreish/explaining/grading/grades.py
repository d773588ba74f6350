"""What a grader says of a learner's work."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

RIGHT, WRONG, NOT_DONE, BROKEN = "right", "wrong", "not done", "broken"


@dataclass(frozen=True)
class Grade:
    """The judgement on one exercise. Nodes are named as in the file: `dlogits` for the derivative at `logits`."""

    id: str
    """The exercise's id; "" where the file does not say."""
    status: str
    """`right`, `wrong`, `not done`, or `broken`: it could not be run to its end."""
    message: str
    """One to three sentences for the learner."""
    first_wrong: str | None = None
    """The first wrong node from the loss back."""
    own: tuple[str, ...] = ()
    """Nodes that are wrong though everything they are made of is right."""
    inherited: tuple[str, ...] = ()
    """Nodes that are wrong only because an earlier one is."""
    cause: str | None = None
    """Why the first wrong node is wrong, as `docs/exercises.md` lists them; `unknown` where no hypothesis fits."""
    remaining: tuple[str, ...] = ()
    """Nodes still to be filled in."""
    line: int | None = None
    """The line of the file that is at fault, where there is one."""
    printed: str = ""
    """What the file printed, its beginning."""

    def __str__(self) -> str:
        return f"{self.id or 'exercise'}: {self.status}. {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Grade:
        """What `to_dict` wrote, perhaps through JSON."""
        names = {each.name for each in fields(cls)}
        known: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in found.items() if n in names}
        return cls(**known)


def broken(exercise: str, message: str, line: int | None = None) -> Grade:
    """The judgement on a file that cannot be run to its end."""
    return Grade(exercise, BROKEN, message, line=line)
