"""What becomes of messages when workers, databases and lines die?  `make crash-table` counts it."""
