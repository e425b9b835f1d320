"""Measuring reconstructions: ``python -m pamir_blender evaluate``."""
