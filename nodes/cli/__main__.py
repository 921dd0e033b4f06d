"""`python -m nodes.cli`: the same as `rollcall-nodes`."""

from nodes.cli import main

main()
