"""The checker of shapes and types, quicker: it binds each call's arguments by `inspect`, which takes most of its time.

Only how the arguments get their names is another; what is checked, and what an error says, is the same.
"""

from __future__ import annotations

import inspect
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

from jaxtyping import _decorator

PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Bound(NamedTuple):
    """What the checker asks of `inspect.BoundArguments`."""

    arguments: dict[str, Any]

    def apply_defaults(self) -> None:
        """They are among the arguments."""


class QuickSignature(inspect.Signature):
    """A signature that binds plain calls by a dictionary; any other, and any wrong one, as its parent does."""

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {name: each.default for name, each in self.parameters.items()}

    @cached_property
    def positional(self) -> tuple[str, ...]:
        return tuple(name for name, each in self.parameters.items() if each.kind == PLAIN[0])

    @cached_property
    def required(self) -> tuple[frozenset[str], ...]:
        """Which names must be given as keywords, by the number of arguments given without."""
        needed = {name for name, default in self.defaults.items() if default is inspect.Parameter.empty}
        return tuple(frozenset(needed.difference(self.positional[:n])) for n in range(len(self.positional) + 1))

    @cached_property
    def plain(self) -> bool:
        return all(each.kind in PLAIN for each in self.parameters.values())

    def bind(self, /, *args: Any, **kwargs: Any) -> Any:
        given = len(args)
        if not self.plain or given > len(self.positional) or not self.required[given] <= kwargs.keys():
            return super().bind(*args, **kwargs)
        arguments = self.defaults | dict(zip(self.positional, args))
        if kwargs:
            if not kwargs.keys().isdisjoint(self.positional[:given]) or not kwargs.keys() <= arguments.keys():
                return super().bind(*args, **kwargs)
            arguments |= kwargs
        return Bound(arguments)


def install() -> None:
    """To be called before anything is imported that is checked."""
    quick = ModuleType("inspect")
    vars(quick).update(vars(inspect))
    quick.signature = QuickSignature.from_callable
    _decorator.inspect = quick
