"""Checks and hypothesis strategies for one's own problems, sketches and theorems."""
