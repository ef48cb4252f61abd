"""Wrong answers that a student would give: a module a notebook."""
