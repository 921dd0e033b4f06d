"""Rollcall's full-screen console: what a cluster is and does, on one screen, and keys to steer it.

Imports `nodes.cluster`, load and what is below them; nothing of `nodes` imports it.
"""
