"""The workers of one launcher, on this machine and others: started, placed, kept alive, reloaded,
stopped; their output.

Imports catalog and support; imported by master and `nodes.cluster`.
"""
