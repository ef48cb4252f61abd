"""What the machine gives and takes away: errors, files, locks, processes. Knows nothing of the kit."""
