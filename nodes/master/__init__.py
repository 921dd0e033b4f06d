"""The process that clients talk to: its verbs by role, who is registered, what happened.

Imports dispatch, fleet and all below; imported by `nodes.cluster`.
"""
