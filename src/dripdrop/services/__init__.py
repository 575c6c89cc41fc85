"""What is answered with I/O, on top of operations."""
