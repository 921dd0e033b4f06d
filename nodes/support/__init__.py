"""What any module may use and none of it is about lookups: addresses, paths, text, files.

Imports `nodes.errors` only; everything may import it.
"""
