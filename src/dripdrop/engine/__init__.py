"""What runs by itself, safely on every node at once."""
