"""The course: executes the notebooks of one profile and writes their pages and results table."""
