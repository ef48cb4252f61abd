"""Answers to the exercises of notebook 11 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

SPLIT = "def split_by_person(persons, test_persons):\n    "

WRONG = {
    "11.1": [
        (
            """
other_options = ["--video-column", "file", "--score-column", "half", "--difficulty-column", "final"]
""",
            "which column holds the points",
        ),
        (
            'other_options = ["--video-column", "clip", "--score-column", "final"]',
            "Which option names that column",
        ),
        (
            'other_options = ["--video-column", "file", "--score-column", "final"]',
            "which option told the command of the difficulty",
        ),
        (
            'other_options = "--video-column file --score-column final --difficulty-column half"',
            "that is one text",
        ),
        ('other_options = ["file", "final", "half"]', "Which option names that column"),
    ],
    "11.2": [
        ("ceiling = 60 + 6", "do all three exemplars vote"),
        ("ceiling = 54 + 6", "how many points of the score are that"),
        ("ceiling = 60 + 18", "that is the highest single verdict"),
        ("ceiling = 54 / 3.0 + 6", "what makes a score of it"),
        ("ceiling = 54 + 3 * 18", "the highest that it can vote for"),
    ],
    "11.3": [
        (
            SPLIT + 'return np.where(np.arange(len(persons)) < len(test_persons), "test", "train")',
            "who is tested that should not be",
        ),
        (
            SPLIT + 'return np.where(np.isin(persons, test_persons), "test", "train")',
            "what does `np.isin` look for in a set",
        ),
        (
            SPLIT + 'return np.where(np.isin(persons, list(test_persons)), "train", "test")',
            "who is tested that should not be",
        ),
        (SPLIT + "return np.isin(persons, list(test_persons))", "which two words are asked for"),
        (
            SPLIT + 'return np.where(persons == sorted(test_persons)[0], "test", "train")',
            "do the tested divers have other videos",
        ),
        (
            SPLIT + 'return np.where(np.isin(persons, ["diver 3", "diver 7"]), "test", "train")',
            "does yours read that argument",
        ),
    ],
}

RIGHT = {
    "11.1": [
        """
other_options = "--score-column final --difficulty-column half --video-column file".split()
"""
    ],
    "11.2": ["ceiling = 72", "ceiling = 54 + 3 * 6"],
    "11.3": [
        SPLIT + 'return ["test" if one in test_persons else "train" for one in persons]',
        SPLIT + 'return pd.Series(persons).isin(test_persons).map({True: "test", False: "train"})',
    ],
}
