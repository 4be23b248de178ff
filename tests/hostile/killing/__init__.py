"""Kills commands at their file events and runs them again: ``make kill``."""
