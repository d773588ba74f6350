"""A call on one tensor, with its arguments read: axes, sizes, and what is neither."""

from __future__ import annotations

from dataclasses import dataclass

from moreish.errors import UsageError
from moreish.explaining.broadcasting.steps import Value

Argument = int | float | bool | tuple[int, ...] | None


@dataclass(frozen=True)
class Call:
    """A call on one tensor: its torch name, the tensor, and its other arguments, read."""

    name: str
    value: Value
    args: tuple[Argument, ...]
    kwargs: dict[str, Argument]
    want: str

    @property
    def written(self) -> str:
        """The arguments as they were given."""
        return ", ".join([*map(str, self.args), *(f"{name}={value}" for name, value in self.kwargs.items())])

    def take(self, *names: str) -> dict[str, Argument]:
        """The arguments by these names, in this order; what was not given is missing.

        Raises:
            UsageError: too many, or one with another name.
        """
        if len(self.args) > len(names) or not self.kwargs.keys() <= set(names[len(self.args) :]):
            takes = f"takes {', '.join(names)}" if names else "takes nothing"
            raise UsageError(f"broadcasting: {self.name}({self.written[:40]}) cannot be read: {self.name} {takes}.")
        return {**dict(zip(names, self.args)), **self.kwargs}


def sizes(call: Call) -> tuple[int, ...]:
    args = call.args[0] if len(call.args) == 1 and isinstance(call.args[0], tuple) else call.args
    if call.kwargs or not isinstance(args, tuple) or not all(is_axis(each) for each in args):
        raise UsageError(
            f"broadcasting: {call.name}({call.written[:40]}) cannot be read: write sizes, such as (27, 1)."
        )
    return tuple(int(each) for each in args if isinstance(each, int))


def whole(call: Call, given: Argument) -> int:
    if not is_axis(given) or not isinstance(given, int):
        raise UsageError(f"broadcasting: {call.name}({call.written[:40]}) cannot be read: it takes an axis, such as 1.")
    return given


def is_axis(given: Argument) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)
