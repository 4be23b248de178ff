"""What each task asks of a network: loss, metric, outputs."""
