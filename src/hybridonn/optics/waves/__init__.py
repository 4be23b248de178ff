"""Light through free space and lenses."""
