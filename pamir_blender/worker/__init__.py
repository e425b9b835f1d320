"""The border between Blender and the backend: requests, events, results."""
