"""`dfa-serve`: the trained person as a live avatar for several clients."""
