"""Trained networks as files that run without torch, what they cost, and how they are packed."""
