"""Frontends, backends, students and teachers."""
