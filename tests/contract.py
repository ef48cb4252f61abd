"""What the contract asks for, where a test needs it and is about something else."""

# The files of a finished run's folder.
RUN_FILES = {
    "recipe.json",
    "history.csv",
    "last.pt",
    "best.safetensors",
    "predictions.csv",
    "validation.csv",
    "metrics.json",
    "environment.json",
}


def card(name: str = "bank", **stated) -> dict:
    """A dataset.json of scores from 0 to 100, with no difficulty and no groups; or as stated."""
    return {
        "name": name,
        "title": name,
        "source": "test",
        "licence": "none",
        "citation": "none",
        "score_range": [0, 100],
        "protocol": "fixed",
        "pairing_key": None,
        "divided_by_difficulty": False,
        "frame_rate": None,
        "frame_size": None,
        "left_out": [],
        **stated,
    }
