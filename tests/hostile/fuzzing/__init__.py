"""Feeds damaged and hostile files to every reader: ``make fuzz``."""
