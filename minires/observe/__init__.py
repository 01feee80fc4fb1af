"""What looks at a pass and computes no gradient of its own: watching, stepping, measuring, counting."""
