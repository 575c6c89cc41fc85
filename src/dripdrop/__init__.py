"""Messaging sequences inside your application and its PostgreSQL: never twice, never lost, always explained."""
