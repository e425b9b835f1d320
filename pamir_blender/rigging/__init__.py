"""From a surface to a character: skin weights, rest pose, UV atlas, texture, files for engines."""
