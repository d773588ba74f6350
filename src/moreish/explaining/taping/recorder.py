"""Keeps every tensor that torch makes within a block: what made it, from what, and its value at that time.

A mode of torch sees each function that the learner calls, and whole: `F.cross_entropy` is one call, whatever it calls
in turn. What the mode cannot see, such as an autograd function of one's own, is found in the graph that autograd keeps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

from moreish.errors import UsageError
from moreish.explaining.taping.calls import called, in_place, inside, replaced, stem
from moreish.explaining.taping.naming import bound, is_name, kept, numbered, unique
from moreish.explaining.taping.records import CHANGED, Call, Recorded

MOST_CALLS = 10_000
_is_transforming = torch._C._functorch.maybe_current_level  # type: ignore[attr-defined]
"""Within `torch.vmap` and its like, whose tensors hold no numbers yet; their results are found by autograd's graph."""
BACKWARD = (torch.Tensor.backward, torch.autograd.backward, torch.autograd.grad)
GRADIENTS = (torch.Tensor.grad.__get__, torch.Tensor._grad.__get__)  # type: ignore[attr-defined]
NOT_COMPUTED = {"grad_fn", "requires_grad", "retain_grad", "register_hook", "share_memory"}
"""What hands out tensors without computing any."""
FILLS = re.compile(
    r"(kaiming|xavier|trunc_normal|orthogonal|sparse|eye|dirac|constant|ones|zeros|uniform|normal|zero|fill|random"
    r"|exponential|bernoulli)\w*_$"
)
"""In-place functions that forget what a tensor held."""
NUMBERS = {"item", "float", "int", "bool", "index", "tolist", "numpy", "array", "complex"}
"""Ways out of torch: what is computed with such numbers is not seen."""
IN_A_CONTAINER = 0.5
"""How near a name such as `params[0]` is: less than a variable of the block, more than one of a function."""


class Recorder(TorchFunctionMode):
    """Records while it is the active mode.

    Args:
        block: the frame whose variables name tensors best.
        require_grad: let every tensor of floating-point numbers that is made from no other ask for a gradient.
    """

    def __init__(self, block: FrameType | None, require_grad: bool = False):
        super().__init__()
        self.block = block
        self.require_grad = require_grad
        self.records: list[Recorded] = []
        self.by_edge: dict[tuple[Any, int], list[Recorded]] = {}
        self.owner: dict[Any, Call | None] = {}
        """Which call made a node of autograd's graph; None for what was there before."""
        self._calls = 0
        self._latest: dict[int, Recorded] = {}
        self._is_listening = True

    def on_backward(self, function: Any, args: Any, kwargs: Any) -> None:
        """Called before the learner's own backward runs; nothing is recorded after it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._is_listening or _is_transforming() is not None:
            return func(*args, **kwargs)
        is_end = func in BACKWARD and not kwargs.get("create_graph")
        with torch._C.DisableTorchFunction():
            tensors = [each for each in inside((args, kwargs), Tensor) if each.layout is torch.strided]
            self._note_before(func, tensors)
            self.look_up_names(sys._getframe(1))
            if is_end:
                self._is_listening = False
                self.on_backward(func, args, kwargs)
        out = func(*args, **kwargs)
        if not is_end:
            with torch._C.DisableTorchFunction():
                self._note_after(func, args, kwargs, tensors, out)
        return out

    def look_up_names(self, frame: FrameType | None) -> None:
        """Give tensors the names of the variables that hold them now."""
        for nearness, name, tensor in bound(frame, self.block):
            self._name(tensor, name, nearness)

    def finish(self, variables: Mapping[str, Any]) -> None:
        """Stop, name everything, and drop what was made but neither named nor used."""
        self._is_listening = False
        for name, tensor in kept(variables):
            self._name(tensor, name, 0.0 if is_name(name) else IN_A_CONTAINER)
        self.records = [each for each in self.records if each.name or each.parents or each.consumers]
        for each in self.records:
            if each.edge is None and each.tensor.requires_grad and each.version == _version(each.tensor):
                self._note_edge(each)
        nameless = {each.call or each: _stem(each.call) for each in self.records if not each.name}
        given = numbered(list(nameless.values()), {each.name for each in self.records})
        names = dict(zip(nameless, given))
        told = unique([each.name or names[each.call or each] + each.place for each in self.records])
        for each, name in zip(self.records, told):
            each.variable, each.name = each.name, name

    def latest(self, tensor: Tensor) -> Recorded | None:
        """What is recorded of a tensor, newest first."""
        known = self._latest.get(id(tensor))
        return known if known is not None and known.tensor is tensor else None

    def _input(self, tensor: Tensor) -> Recorded:
        """What is recorded of a tensor as it is now; recorded first if it is new, or was changed unseen."""
        known = self.latest(tensor)
        if known is not None and known.version == _version(tensor):
            if known.edge is None and tensor.requires_grad:  # asked for after it was made
                self._note_edge(known)
            return known
        call = None
        if known is not None:  # through a view of it, or a detached twin
            call = self._call(None, (), {}, [known, *self._twins(known)], CHANGED)
        elif tensor.grad_fn is not None and (parents := self._known_below(tensor.grad_fn)):
            call = self._call(None, (), {}, parents, _cleaned(tensor.grad_fn.name()))
        found = self._record(tensor, call)
        if call is None and tensor.grad_fn is not None:
            self.owner.setdefault(tensor.grad_fn, None)
        return found

    def _note_before(self, function: Any, tensors: list[Tensor]) -> None:
        for each in tensors:
            if in_place(function) and each._base is not None:
                self._input(each._base)
            self._input(each)

    def _note_after(self, function: Any, args: Any, kwargs: Any, tensors: list[Tensor], out: Any) -> None:
        """Record the results of a call, and its arguments where they were changed."""
        results = [each for each in inside(out, Tensor) if each.layout is torch.strided]
        inputs = [self._latest[id(each)] for each in tensors]
        if called(function) in NUMBERS and not results:
            for each in inputs:
                each.numbers.append(called(function))
        changed = [each for each in tensors if _version(each) != self._latest[id(each)].version]
        made = [each for each in results if id(each) not in self._latest]
        if called(function) in NOT_COMPUTED or function in GRADIENTS or not (made or changed):
            return
        if changed and not made and FILLS.match(function.__name__):
            for each in changed:
                self._refill(self._latest[id(each)])
            return
        known = {id(each): found for each, found in zip(tensors, inputs)}
        args = replaced(tuple(args), Tensor, lambda each: known.get(id(each), each))
        kwargs = replaced(kwargs, Tensor, lambda each: known.get(id(each), each))
        bases = {id(each): self.latest(each._base) for each in changed if each._base is not None}
        call = self._call(function, args, kwargs, [bases.get(id(each)) or known[id(each)] for each in tensors])
        if self.require_grad and not inputs and torch.is_grad_enabled():
            for each in made:
                if each.is_leaf and (each.is_floating_point() or each.is_complex()):
                    each.requires_grad_()
        places = dict(zip(map(id, results), _places(out, len(results))))
        for each in {id(each): each for each in (*changed, *made)}.values():
            base = bases.get(id(each))
            if base is not None and base.version != _version(base.tensor):  # writing to a view is writing to its base
                whole = self._record(base.tensor, call)
                before = known[id(each)]
                title = before.call.op if before.call is not None else "view"
                self._record(each, self._call(None, (), {}, [whole], title))
            else:
                self._record(each, call).place = places.get(id(each), "")

    def _call(self, function: Any, args: Any, kwargs: Any, inputs: list[Recorded], title: str = "") -> Call:
        if self._calls >= MOST_CALLS:
            raise UsageError(
                f"tape: {MOST_CALLS:,} calls are recorded, and it takes no more. Record one step of a training."
            )
        call = Call(function, args, kwargs, inputs, title)
        self._calls += 1
        for each in dict.fromkeys(inputs):
            each.consumers.append(call)
        return call

    def _record(self, tensor: Tensor, call: Call | None) -> Recorded:
        found = Recorded(tensor, _copied(tensor), call, _version(tensor))
        if call is not None:
            call.outputs.append(found)
        self.records.append(found)
        self._latest[id(tensor)] = found
        if tensor.requires_grad:
            self._note_edge(found)
        return found

    def _refill(self, known: Recorded) -> None:
        """A tensor that was filled anew is an input, whatever it held before."""
        if known.consumers:
            self._record(known.tensor, None)
        else:
            known.value, known.version, known.call = _copied(known.tensor), _version(known.tensor), None

    def _note_edge(self, found: Recorded) -> None:
        """Note where autograd takes its gradient in, and which nodes of autograd's graph its call has made."""
        with torch.inference_mode(False):
            found.edge = get_gradient_edge(found.tensor)
        self.by_edge.setdefault((found.edge.node, found.edge.output_nr), []).append(found)
        left = [found.edge.node] if found.call is not None else []
        while left:
            node = left.pop()
            if node is not None and node not in self.owner and "AccumulateGrad" not in node.name():
                self.owner[node] = found.call
                left += [each for each, _ in node.next_functions]

    def _known_below(self, node: Any) -> list[Recorded]:
        """What is recorded of the inputs of a part of autograd's graph that was made unseen."""
        found: list[Recorded] = []
        left, looked = [node], set()
        while left and len(looked) < MOST_CALLS:
            for edge in left.pop().next_functions:
                if edge in self.by_edge:
                    found.append(self.by_edge[edge][-1])
                elif edge[0] is not None and edge[0] not in looked:
                    looked.add(edge[0])
                    left.append(edge[0])
        return found

    def _twins(self, known: Recorded) -> list[Recorded]:
        """The newest tensor that shares memory with one that was changed unseen."""
        base = None if known.tensor._base is None else self.latest(known.tensor._base)
        if base is not None and base.version == _version(base.tensor):
            return [base]
        memory = known.tensor.untyped_storage().data_ptr()
        for each in reversed(self.records):
            is_another = each.tensor is not known.tensor and each.version == _version(each.tensor)
            if is_another and each.tensor.untyped_storage().data_ptr() == memory:
                return [each]
        return []

    def _name(self, tensor: Tensor, name: str, nearness: float) -> None:
        known = self.latest(tensor)
        if known is not None and nearness < known.nearness:
            known.name, known.nearness = name, nearness


def _stem(call: Call | None) -> str:
    """What a tensor without a variable is called, before its number."""
    return "input" if call is None else stem(call.function) if not call.title else call.title.split("(")[0]


def _places(out: Any, results: int) -> list[str]:
    """Names of the tensors of a result: `.values` of a named tuple, `[0]` of a plain one, "" of a single one."""
    fields = [name for name in ("values", "indices") if not isinstance(out, Tensor) and hasattr(out, name)]
    if len(fields) == results:
        return [f".{name}" for name in fields]
    return [f"[{at}]" for at in range(results)] if results > 1 else [""]


def _cleaned(name: str) -> str:
    """`TanhBackward0` is `tanh`, `LinearBackward` of one's own function `linear`."""
    plain = re.sub(r"Backward\d*$", "", name.rpartition("::")[2]).strip("_") or "function"
    return plain[0].lower() + plain[1:]


def _copied(tensor: Tensor) -> Tensor | None:
    """Its numbers now; None of a tensor on the device `meta`, which has none."""
    return None if tensor.is_meta else tensor.detach().clone()


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
