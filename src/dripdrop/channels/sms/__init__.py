"""How does each provider of text messages take one, and what does it tell us later? One file for each."""
