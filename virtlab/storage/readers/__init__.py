"""The built-in readers, one file each; none knows of another."""
