"""Data sets by name or by folder."""
