"""A whole study with simulated people: they work through the HTTP API; the queue, the workers and the trainers are real."""
