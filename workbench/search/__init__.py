"""Retrievers: evaluation and serving know nothing else of searching."""
