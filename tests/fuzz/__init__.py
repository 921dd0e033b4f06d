"""Hostile input by the million: see `__main__` (both ends) and `guided` (the decoder)."""
