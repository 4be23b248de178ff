"""From camera frames to registered captures."""
