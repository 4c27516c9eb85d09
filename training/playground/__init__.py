"""Talking to models in the browser. A worker starts a model's process when somebody asks; the web speaks with that."""
