"""The console's screens, each with its styles beside it."""
