"""What the installable zips are made from: the manifest and ``build_addon.py``'s code. Not in the zip."""
