"""How does each messenger take a message, and what does it tell us later? One file for each."""
