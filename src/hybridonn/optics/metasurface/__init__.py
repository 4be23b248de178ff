"""The sub-optic: pillars of many widths that make a point spread function."""
