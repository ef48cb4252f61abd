"""Data: the prepared-dataset contract, videos, features and the procedural dives. Knows no
model."""
