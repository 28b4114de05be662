"""The search: what is tried, what came of it, and the command that runs it."""
