"""Pillars: what one of them does to light."""
