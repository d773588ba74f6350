"""The curse of dimensionality on a list: contexts, distances, neighbours, and the work they make."""
