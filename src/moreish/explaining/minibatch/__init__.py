"""What a minibatch's gradient is worth: its angle to the full one, its spread, and what its cheapness buys."""
