"""Figures, tables and the HTML report: they read artefacts, they never compute them."""
