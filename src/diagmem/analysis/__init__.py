"""What a trace says: when each cell is used, which displacements are safe, and by what."""
