"""What one can ask of the coding service."""
