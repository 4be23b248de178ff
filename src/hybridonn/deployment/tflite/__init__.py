"""Backends in 8-bit integers for TensorFlow Lite Micro, and their cost on an Ethos-U."""
