"""The effect of coding a stay completely."""
