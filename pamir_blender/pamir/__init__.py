"""The paper: encoders, decoders, voxelisation, the implicit field, its surface and its colours."""
