"""The console's screens, each with its styles beside it.

Imports the widgets; imported by `console.app`.
"""
