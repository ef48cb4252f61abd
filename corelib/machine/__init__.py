"""What the machine gives: errors, files, locks, processes, devices. Knows nothing of the kit."""
