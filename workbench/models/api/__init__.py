"""Encoders behind paid or compatible HTTP interfaces: OpenAI, Voyage, Cohere.

They are called from the driver and know nothing of state: what they do is told to ``Events``.
"""
