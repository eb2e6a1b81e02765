"""What is built on the arrow and never imported by it."""
