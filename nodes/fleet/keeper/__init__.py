"""The keeper: a process on another machine that keeps workers there for one launcher.

Launcher and keeper speak over a pipe, whatever carries it. Imports support and wire.
"""
