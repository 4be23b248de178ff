"""One file a table of the report."""
