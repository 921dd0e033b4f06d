"""Asking a cluster from a script: through its master, or past it.

Imports dispatch and all below; imported by `nodes.cluster`, load and the commands.
"""
