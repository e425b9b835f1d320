"""Getting the backend: unpacking bundled wheels, making an environment, saying what is there. No bpy here."""
