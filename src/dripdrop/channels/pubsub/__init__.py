"""How is something said to whoever listens? One file for each way; PostgreSQL's is in `dripdrop.brokers`."""
