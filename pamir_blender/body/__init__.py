"""SMPL-format bodies: loading, skinning, and fitting to a photo."""
