"""Subjects, rendering, sampling, losses, trainers and metrics. Not part of the add-on's zip."""
