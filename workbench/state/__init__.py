"""Registry, vault and home: what should exist, what does, and the vectors of record."""
