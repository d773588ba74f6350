"""How a recorded call of torch is told: its sign or name, its numbers, and the expression that it was."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

SIGNS = {
    "add": "+", "sub": "-", "subtract": "-", "mul": "*", "multiply": "*", "div": "/", "divide": "/",
    "true_divide": "/", "truediv": "/", "floor_divide": "//", "floordiv": "//", "remainder": "%", "mod": "%",
    "pow": "**", "matmul": "@", "mm": "@", "bmm": "@", "mv": "@", "eq": "==", "ne": "!=", "lt": "<", "le": "<=",
    "gt": ">", "ge": ">=", "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
"""Of operators, by the name that torch gives them without underscores."""
STEMS = {"truediv": "div", "true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub",
         "getitem": "index", "setitem": "index", "mm": "matmul", "bmm": "matmul", "mv": "matmul"}  # fmt: skip
REVERSED = {"radd": "add", "rsub": "sub", "rmul": "mul", "rdiv": "div", "rtruediv": "div", "rpow": "pow",
            "rfloordiv": "floordiv", "rmod": "mod", "rmatmul": "matmul", "rand": "and", "ror": "or"}  # fmt: skip
LONGEST = 28
"""Characters of an op with its numbers."""


def called(function: Any) -> str:
    """The plain name of a function of torch: `add` for `torch.add` and `Tensor.add_`, `T` for `.T`."""
    name = str(getattr(function, "__name__", "call"))
    if name in ("__get__", "__set__", "__delete__"):
        return str(getattr(function.__self__, "__name__", "call"))
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        return name.removeprefix("i") if name.removeprefix("i") in SIGNS else name
    return name.rstrip("_") or name


def in_place(function: Any) -> bool:
    """Whether a function's name says that it changes its first tensor."""
    name = str(getattr(function, "__name__", ""))
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name.strip("_")[1:] in SIGNS)
    return name.endswith("_")


def stem(function: Any) -> str:
    """What a result without a variable of its own is called, before its number: `exp`, `add`, `index`."""
    name = called(function)
    name = REVERSED.get(name, name)
    return STEMS.get(name, name)


def signed(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], is_tensor: Callable[[Any], bool]) -> str:
    """The op alone: `+`, `* 2`, `10 /`, `tanh`, `sum(1, keepdim=True)`, `[:, 0]`; tensors are left out."""
    return _shortened(_told(function, args, kwargs, lambda each: "" if is_tensor(each) else None))


def expression(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: Callable[[Any], str | None]) -> str:
    """The whole call with the names of its tensors: `a + b`, `10 / f`, `sum(x, 1, keepdim=True)`, `C[Xb]`.

    Args:
        name: of a tensor; None for anything else.
    """
    return _told(function, args, kwargs, name)


def _told(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: Callable[[Any], str | None]) -> str:
    what = called(function)
    ends = "=" if in_place(function) else ""
    given = list(args)
    if what in REVERSED and len(given) > 1:
        what, given[:2] = REVERSED[what], given[1::-1]
    words = [_word(each, name) for each in given]
    if what in SIGNS and len(words) == 2 and not kwargs:
        return " ".join(word for word in (words[0], SIGNS[what] + ends, words[1]) if word)
    if what == "neg" and len(words) == 1:
        return f"-{words[0]}"
    if what == "getitem" and len(words) == 2:
        return f"{words[0]}[{_index(given[1], name)}]"
    if what == "setitem" and len(words) == 3:
        return f"{words[0]}[{_index(given[1], name)}] = {words[2]}".rstrip()
    if getattr(function, "__name__", "") == "__get__":
        return f"{words[0]}.{what}" if words[0] else what
    told = {key: each for key, each in kwargs.items() if each is not None and not key.startswith("_")}
    usual = _defaults(function)
    words += [
        f"{key}={word}"
        for key, each in told.items()
        if not _is_usual(each, usual.get(key)) and (word := _word(each, name))
    ]
    inside = ", ".join(word for word in words if word)
    return f"{what}{'_' if ends else ''}({inside})" if inside else what + ("_" if ends else "")


def _is_usual(each: Any, default: Any) -> bool:
    return type(each) is type(default) and bool(each == default)


@cache
def _defaults(function: Any) -> dict[str, Any]:
    """A function's default arguments, but for tensors; none are known of those that are written in C++."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    kinds = (bool, int, float, str)
    return {name: each.default for name, each in parameters.items() if isinstance(each.default, kinds)}


def _word(each: Any, name: Callable[[Any], str | None]) -> str:
    """One argument: a tensor's name, a number, a short list; what else there is has no short text."""
    named = name(each)
    if named is not None:
        return named
    if isinstance(each, (list, tuple)):
        words = [_word(one, name) for one in each]
        if not any(words):
            return ""
        return f"[{', '.join(words)}]" if isinstance(each, list) else f"({', '.join(words)})"
    if isinstance(each, float):
        text = f"{each:.6g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text
    text = str(each) if isinstance(each, (bool, int, type(None), slice)) else repr(each)
    return text if len(text) <= LONGEST and not re.search(r" at 0x|[\n<]", text) else "..."


def _index(each: Any, name: Callable[[Any], str | None]) -> str:
    """What stands between the brackets of an index, as it is written."""
    if isinstance(each, tuple):
        return ", ".join(_index(one, name) for one in each)
    if isinstance(each, slice):
        ends = ("" if end is None else _index(end, name) for end in (each.start, each.stop))
        return ":".join(ends) + ("" if each.step is None else f":{each.step}")
    if each is Ellipsis:
        return "..."
    return _word(each, name) or "..."


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def inside(each: Any, kind: type) -> Iterator[Any]:
    """All things of a kind within arguments or results, in their order: lists, tuples and dicts are looked into."""
    if isinstance(each, kind):
        yield each
    elif isinstance(each, (list, tuple)):
        for one in each:
            yield from inside(one, kind)
    elif isinstance(each, dict):
        for one in each.values():
            yield from inside(one, kind)


def replaced(each: Any, kind: type, by: Callable[[Any], Any]) -> Any:
    """The same arguments with every thing of a kind replaced; other containers than list, tuple and dict are kept."""
    if isinstance(each, kind):
        return by(each)
    if type(each) in (list, tuple):
        return type(each)(replaced(one, kind, by) for one in each)
    if type(each) is dict:
        return {key: replaced(one, kind, by) for key, one in each.items()}
    return each
