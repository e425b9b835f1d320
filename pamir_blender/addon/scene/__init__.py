"""Results become Blender objects, and Blender poses become SMPL parameters; one concept per file."""
