"""What can be wrong with one part of a definition?  A module for each part; `rules/validation.py` asks them all."""
