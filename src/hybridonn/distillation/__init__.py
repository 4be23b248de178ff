"""Objectives (task, KD, NTKD) and the one training loop."""
