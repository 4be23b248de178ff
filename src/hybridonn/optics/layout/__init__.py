"""Where the sub-optics lie, and the file that goes to the fab."""
