"""A page on this machine to explore designs and runs."""
