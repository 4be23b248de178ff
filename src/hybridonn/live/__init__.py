"""A page on this machine that answers what a camera sees."""
