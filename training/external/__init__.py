"""External generators: models behind an OpenAI-compatible address, and the requests that have them answer prompts.

What such a model says is hostile until it is looked at, and so is where its address leads. Calls happen in a worker.
"""
