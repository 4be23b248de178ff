"""Optical frontends: from a scene to signed feature maps."""
