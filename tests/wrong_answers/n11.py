"""Wrong answers to the exercises of notebook 11 that a student would give, and a part of the hint each gets."""

WRONG = {
    "11.1": [
        (
            'other_options = ["--video-column", "file", "--score-column", "half", "--difficulty-column", "final"]',
            "TODO",
        )
    ],
    "11.2": [("ceiling = 60 + 6", "TODO")],
    "11.3": [
        (
            'def split_by_person(persons, test_persons):\n    return np.where(np.arange(len(persons)) < len(test_persons), "test", "train")',
            "TODO",
        )
    ],
}
