"""What the exercises ask for: a module a notebook, a function an exercise."""
