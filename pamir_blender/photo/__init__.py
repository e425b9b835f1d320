"""A photo becomes a cropped person with a mask and landmarks."""
