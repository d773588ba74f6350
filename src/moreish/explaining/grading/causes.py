"""The causes that a grader can find, each with what it means."""

from __future__ import annotations

CAUSES = {
    "wrong order": "A derivative was passed on before all that flows back into it had arrived.",
    "changed in place": "A later statement writes into the same tensor: two names, one tensor. `.clone()` it first.",
    "= for +=": "A second contribution replaced the first one instead of being added to it.",
    "missing broadcast sum": "The forward stretched a tensor over an axis; the backward must sum over that axis.",
    "missing keepdim": "A sum dropped the axis that it was taken over; `keepdim=True` keeps it with size 1.",
    "keepdim too many": "A sum kept an axis that the tensor does not have.",
    "wrong axis": "Summed, averaged or stretched over another axis than the forward's.",
    "transposed product": "A factor of a matrix product is transposed where it should not be, or the reverse, or they "
    "stand the wrong way round.",
    "n - 1 for n": "n - 1 was used where n belongs.",
    "n for n - 1": "n was used where Bessel's n - 1 belongs.",
    "forgotten mean": "The division by the number of entries that a mean was taken over is missing.",
    "detached maximum": "The contribution through a maximum is missing, as if the maximum were a constant.",
    "lost branch": "The value is used in several places, and the contribution of one of them is missing.",
    "wrong sign": "The sign of the derivative, or of one of its terms, is the opposite one.",
    "missing factor": "A factor is missing: of the local derivative, or the incoming derivative itself.",
    "wrong scale": "Everything, or one term, is a constant number of times too large or too small.",
    "wrong operand": "Another value stands where the right one belongs, or a division the wrong way round.",
    "unknown": "None of these explains the numbers.",
}
"""From the most particular to the most general: the first that the numbers confirm is the one that is named.

A more particular cause says where to look, and what it claims happens less often by accident: a matrix transposed is
also a wrong operand, a division by n forgotten also a wrong scale, a maximum taken for a constant also a lost branch.
"""
