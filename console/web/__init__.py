"""The console in a browser: `rollcall-web`, an attached console for each session."""
