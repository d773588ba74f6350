"""The legend of axis letters, and the two ids that mean something everywhere.

    B  rows of a batch: lines read side by side          V  symbols of the alphabet, the boundary included
    T  positions along a line, in reading order          C  symbols in a window of context
    M  windows, of whatever row and position             S  states of a count model's automaton of contexts
    E  edges of that automaton: (state, symbol) seen     N  anything else that is counted

Shapes stand in types (`Int[Tensor, "B T"]`) and are checked while the tests run. Negative log-likelihoods are in
nats per predicted symbol, the end of the line included, unless a name says otherwise.
"""

BOUNDARY = 0
"""The id of the boundary symbol, which begins and ends every line."""

IGNORE = -1
"""The target at positions that do not count (after a line's end)."""

BOUNDARY_SIGN = "·"
"""How the boundary is drawn for people; inside a line this character is a symbol like any other."""
