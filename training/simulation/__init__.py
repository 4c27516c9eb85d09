"""A whole study with simulated people: they work through the HTTP API; queue, workers and trainers are real."""
