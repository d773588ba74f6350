"""What a called command leaves behind, and the made-up list it was called on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

chooser = random.Random(7)
MADE_UP = ["".join(chooser.choices(["ka", "ri", "no", "sha", "men", "el", "u", "bi"], k=chooser.randint(1, 4)))
           for _ in range(420)]  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        assert self.code == 0, self.err
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


Moreish = Callable[..., Ran]
