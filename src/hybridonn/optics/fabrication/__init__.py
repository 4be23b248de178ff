"""What fabrication changes in a design."""
