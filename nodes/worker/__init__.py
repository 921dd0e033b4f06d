"""The process that answers lookups from a catalog: its verbs, its registration, its leaving.

Imports catalog, transport and security; imported by the commands.
"""
