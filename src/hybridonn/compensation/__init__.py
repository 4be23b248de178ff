"""Measured captures, calibration, and accuracy won back on the chip that was made."""
