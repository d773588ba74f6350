"""What the doctor says, in a terminal; and the page of the faults it knows, `python -m moreish.faces.doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from moreish.text.alphabet import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from moreish.learning.doctor.diagnosis import Diagnosis, Outcome


def shown(found: Diagnosis) -> RenderableType:
    """Each finding with its evidence and fix; before and after, where something was mended."""
    about = f"{found.model} on {printable(found.list)}, {found.steps:,} steps, seed {found.seed}"
    planted = f", with {found.planted} planted" if found.planted else ""
    lines: list[RenderableType] = [Text(about + planted, "bold")]
    if not found.findings:
        lines.append(Text("no fault found", "green"))
        lines.append(Text("Every number that the doctor knows is within its bounds.", "dim"))
    for finding in found.findings:
        sure = f"{100 * finding.confidence:.0f} % sure"
        style = "bold red" if finding.confidence >= 0.8 else "bold yellow"
        number = "" if finding.number is None else f"{finding.number:.3g} against a threshold of {finding.threshold:g}"
        lines.append(Text.assemble("\n", (finding.fault, style), f"  {printable(finding.where)}, ", (sure, "dim")))
        lines.append(Text(f"  {finding.evidence}."))
        lines.append(Text.assemble((f"  {number}. ", "dim"), "Fix: ", (finding.fix, "cyan")))
    if found.note:
        lines.append(Text(f"\n{found.note[0].upper()}{found.note[1:]}.", "dim"))
    if found.before is not None and found.after is not None:
        lines += [Text(f"\nWith {found.fixed} mended, by the same seed", "bold")]
        lines += [Text(f"  before  {_ended(found.before)}"), Text(f"  after   {_ended(found.after)}")]
        lines.append(Text(f"  {_gained(found)}", "dim"))
    elif found.findings:
        lines.append(Text("\n--fix mends the first and runs again.", "dim"))
    return Group(*lines)


def _ended(outcome: Outcome) -> str:
    if outcome.dev is None:
        return "no figure: it broke down, or nothing is held out"
    within = "" if outcome.low is None else f" ({outcome.low:.4f} to {outcome.high:.4f})"
    left = f"; still found: {', '.join(outcome.findings)}" if outcome.findings else ""
    return f"{outcome.dev:.4f} nats per symbol on dev{within}{left}"


def _gained(found: Diagnosis) -> str:
    gain = found.gain
    if gain is None:
        return "The two are not on the same lines, or one broke down, so no difference is given."
    said = f"{gain.value:+.4f} nats gained, {gain.low:+.4f} to {gain.high:+.4f} in 95 of 100 draws of dev's lines: "
    if gain.above:
        return said + "better beyond the noise."
    return said + ("worse beyond the noise." if gain.below else "no difference beyond the noise.")


def page() -> str:
    """docs/doctor.md."""
    from moreish.learning.doctor.faults import FAULTS

    rows = []
    for fault in FAULTS.values():
        flag = f"`{fault.flag}`" if fault.flag else ""
        flag = flag.replace("{lr}", "R").replace("{batch}", "32").replace("{hidden}", "64").replace("{embedding}", "10")
        models = ", ".join(fault.models) if fault.models else "a list's, so it is not planted"
        rows.append(f"| `{fault.name}` | {fault.what} | {flag} | `{fault.code}` | {models} |")
    heads = ["| fault | what it is | as a flag | as code | planted in |", "|---|---|---|---|---|"]
    return "\n".join([INTRODUCTION, *heads, *rows, ""])


INTRODUCTION = """\
# A doctor for trainings

<!-- Written by `make docs` from src/moreish/learning/doctor/faults.py, not by hand. -->

`moreish diagnose LIST --model NAME` (or of a run) observes a short training and names what is wrong: where, by which
number, against which threshold, how sure it is, and the smallest thing that mends it. `--fix` mends the likeliest
fault, runs again by the same seed, and shows the loss on dev before and after with a paired 95 % interval. `--plant
FAULT` puts a fault in first, to see what it looks like. How often it is right, how often its fixes repair, and how
often it raises a false alarm is measured: [results](results.md).

It looks from outside, and so at any loop:

```python
import torch, moreish
from torch import nn
from torch.nn import functional as F

net = nn.Sequential(nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 64), nn.Tanh(), nn.Linear(64, 27))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
with moreish.doctor(net) as d:
    for _ in range(50):
        x, y = torch.randint(27, (32, 3)), torch.randint(27, (32,))
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
print(d.report())  # gradients-not-zeroed: ... Fix: optimizer.zero_grad()
```

A loop without a module gives its parameters: `moreish.doctor([C, W1, b1, W2, b2])`. Losses on train and dev that the
loop measures itself are handed over by `d.measured(train=..., dev=...)`; without them overfitting is not looked for. Of
what it cannot see it says nothing: losses that torch's `cross_entropy` or `nll_loss` do not compute, and whatever only
the lists would show.

The faults, causes before what they bring about:
"""


if __name__ == "__main__":
    print(page(), end="")
