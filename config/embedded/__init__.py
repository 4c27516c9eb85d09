"""The services that Plumbline starts itself when none are given by URL: a PostgreSQL server and a message broker."""
