"""The local workers of one launcher: started, kept alive, reloaded, stopped; their output.

Imports catalog and support; imported by master and `nodes.cluster`.
"""
