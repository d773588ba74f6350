"""The learner's own names of tensors, read from the variables of running code.

Looked up before each call of torch, while a name still holds: `h = h + 1` names both tensors. What stands nearest to
the block that records wins: a function's argument `t` is told under the name that its caller gave it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import jaxtyping
import torch
from torch import Tensor, nn

HIDDEN = re.compile(r"_\d*$|__|_[hio]\w*\d*$|_i*$")
"""Names that notebooks and the prompt keep for themselves, and `_` for what nobody needs."""
MOST_FRAMES = 40
MOST_LOOKED_AT = 3000
DEEPEST = 3
_OTHERS = (
    *(str(Path(module).parent) + os.sep for module in (torch.__file__, jaxtyping.__file__, __file__)),
    contextlib.__file__,
    "<@beartype",  # what the tests' checker of types wraps around our own functions
)


def is_learners(frame: FrameType) -> bool:
    """Whether a frame runs other code than torch's and the recorder's."""
    return not frame.f_code.co_filename.startswith(_OTHERS)


def block_frame(frame: FrameType | None) -> FrameType | None:
    """The frame that opened the block, from within `__enter__`."""
    while frame is not None and not is_learners(frame):
        frame = frame.f_back
    return frame


def bound(frame: FrameType | None, block: FrameType | None) -> Iterator[tuple[float, str, Tensor]]:
    """Tensors that are variables now, from a frame out to the block's: (depth below the block, name, tensor)."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < MOST_FRAMES:
        frames.append(frame)
        if frame is block:
            break
        frame = frame.f_back
    for depth, each in enumerate(reversed(frames)):
        if not is_learners(each):
            continue
        variables = each.f_locals
        for name, value in list(variables.items()):
            if isinstance(value, Tensor) and is_name(name):
                yield float(depth), name, value
        mine = variables.get("self")
        for name, value in list(getattr(mine, "__dict__", {}).items()):
            if isinstance(value, Tensor) and is_name(name):
                yield float(depth + MOST_FRAMES), name, value


def kept(variables: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Tensors within the variables of a block: in lists, dicts, modules and other objects, a few levels deep.

    Yields names as one would write them: `params[0]`, `p['w']`, `model.0.weight`, `layer.gain`.
    """
    looked: set[int] = set()
    named = [(name, value, 0) for name, value in list(variables.items()) if is_name(name)]
    yield from ((name, value) for name, value, _ in named if isinstance(value, Tensor))
    left = named[::-1]
    while left and len(looked) < MOST_LOOKED_AT:
        name, value, depth = left.pop()
        if isinstance(value, Tensor):
            if depth:
                yield name, value
        elif isinstance(value, nn.Module):
            if id(value) not in looked:
                yield from (
                    (f"{name}.{part}", each) for part, each in (*value.named_parameters(), *value.named_buffers())
                )
        elif depth < DEEPEST and id(value) not in looked:
            left += [(name + part, each, depth + 1) for part, each in _parts(value)][::-1]
        looked.add(id(value))


def is_name(name: str) -> bool:
    """Whether a variable's name is one that a learner gave."""
    return name.isidentifier() and not HIDDEN.match(name)


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [(f"[{at}]", each) for at, each in enumerate(value[:200])]
    if isinstance(value, dict):
        return [(f"[{key!r:.30}]", each) for key, each in list(value.items())[:200]]
    if isinstance(value, type) or callable(getattr(value, "__getattr__", None)) or type(value).__module__ == "builtins":
        return []
    inside = getattr(value, "__dict__", None)
    if not isinstance(inside, dict) or type(value).__module__.split(".")[0] in ("torch", "numpy"):
        return []
    return [(f".{key}", each) for key, each in list(inside.items())[:200]]


def unique(names: list[str]) -> list[str]:
    """Names that tell all apart: one that is used twice is numbered, `h_1`, `h_2`, in the order given."""
    often = {name for name, times in Counter(names).items() if times > 1}
    taken = set(names) - often
    found = []
    number = dict.fromkeys(often, 0)
    for name in names:
        if name in often:
            number[name] += 1
            while f"{name}_{number[name]}" in taken:
                number[name] += 1
            name = f"{name}_{number[name]}"
            taken.add(name)
        found.append(name)
    return found


def numbered(stems: list[str], taken: set[str]) -> list[str]:
    """`exp_1`, `exp_2`, `add_1`: each stem counted by itself, past the names that are taken."""
    number: Counter[str] = Counter()
    found = []
    for each in stems:
        number[each] += 1
        while f"{each}_{number[each]}" in taken:
            number[each] += 1
        found.append(f"{each}_{number[each]}")
    return found
