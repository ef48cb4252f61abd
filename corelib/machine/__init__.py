"""What the machine gives and takes away: errors, files, locks, processes; nothing of the kit."""
