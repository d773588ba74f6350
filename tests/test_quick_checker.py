"""The quicker binding of arguments is Python's own: the same names and values, the same refusals."""

import inspect
import itertools

import jaxtyping
import pytest

from moreish.text.alphabet import Alphabet
from quick_checker import QuickSignature


def plain(a, b=2): ...
def keyword_only(a, *, b, c=3): ...
def positional_only(a, /, b): ...
def any_number(a, *rest, b=1, **named): ...
def no_arguments(): ...


CALLS = [(args, dict.fromkeys(names, 9)) for args in [(), (5,), (5, 6), (5, 6, 7)]
         for k in range(4) for names in itertools.combinations("abcd", k)]  # fmt: skip


def bound(signature: inspect.Signature, args: tuple, kwargs: dict) -> object:
    try:
        found = signature.bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    found.apply_defaults()
    return list(found.arguments.items())


@pytest.mark.parametrize("function", [plain, keyword_only, positional_only, any_number, no_arguments])
def test_arguments_are_bound_as_inspect_binds_them(function):
    signature, quick = inspect.signature(function), QuickSignature.from_callable(function)
    found = [bound(signature, *call) for call in CALLS]
    assert [bound(quick, *call) for call in CALLS] == found
    assert {type(each) for each in found} == {str, list}


def test_what_is_of_another_type_is_still_refused_by_name():
    with pytest.raises(jaxtyping.TypeCheckError, match=r"parameter 'line'\.\nActual value: 7"):
        Alphabet("characters", ("a",)).encode(7)
