"""The physics: layout, and later materials, propagation and fabrication."""
