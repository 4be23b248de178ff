"""Grids of runs: comparisons of methods, tuning, sweeps."""
