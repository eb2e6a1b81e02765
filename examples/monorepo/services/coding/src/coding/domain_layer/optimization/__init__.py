"""What coding a stay completely would change."""
