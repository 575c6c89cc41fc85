"""What runs inside each side's own environment?  One script a side, importing nothing of the harness but the meter."""
