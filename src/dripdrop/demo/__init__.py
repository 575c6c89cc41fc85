"""The whole product at work: five hundred people, a week of virtual time, real SMTP, and a worker that dies."""
