"""Runs: a training and its folder, sweeps and protocols of many, and what a run says of a video."""
