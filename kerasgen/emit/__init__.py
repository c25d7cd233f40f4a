"""A graph becomes a module: its text, its weights, the audit, and the files that are published."""
