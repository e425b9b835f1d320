"""The steps of building the open body; run ``models/build_open_body.py``."""
