"""The procedural dives: rules, motion, judges, camera."""
