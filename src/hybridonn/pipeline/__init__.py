"""The stages in order, the run folder, resuming and the run record."""
