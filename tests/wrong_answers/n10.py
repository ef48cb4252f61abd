"""Answers to the exercises of notebook 10 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

MEANS = "def group_means(train, test, by):\n    "
GAP = "def gap(first, second):\n    "
SQUARES = "np.var(first, ddof=1) + np.var(second, ddof=1)"

WRONG = {
    "10.1": [
        (
            MEANS + 'return test[by].map(train.groupby(by)["score"].mean()).to_numpy()',
            "nobody of group c was trained on",
        ),
        (
            MEANS
            + """means = train.groupby(by)["score"].mean()
    return test[by].map(means).fillna(means.mean()).to_numpy()
""",
            "nobody of group c was trained on",
        ),
        (
            MEANS + 'return train.groupby(by)["score"].mean().to_numpy()',
            "how many numbers are to be returned",
        ),
        (
            MEANS
            + """means = train.groupby(by)["score"].mean()
    return means.reindex(sorted(test[by])).fillna(train["score"].mean()).to_numpy()
""",
            "that of the rows of `test`",
        ),
        (
            MEANS + 'return test.groupby(by)["score"].transform("mean").to_numpy()',
            "which mean have those in `seen`",
        ),
        (
            MEANS
            + """means = train.groupby("group")["score"].mean()
    return test["group"].map(means).fillna(train["score"].mean()).to_numpy()
""",
            "may be another than 'group'",
        ),
    ],
    "10.2": [
        (GAP + "return plain_gap(first, second)", "that is the plain gap still"),
        (
            GAP + "return plain_gap(first, second) / np.sqrt((np.var(first) + np.var(second)) / 2)",
            "by what does numpy divide a variance",
        ),
        (GAP + f"return plain_gap(second, first) / np.sqrt(({SQUARES}) / 2)", "which sign had"),
        (GAP + f"return plain_gap(first, second) / np.sqrt({SQUARES})", "how many spreads are"),
        (
            GAP
            + """spread = (np.std(first, ddof=1) + np.std(second, ddof=1)) / 2
    return plain_gap(first, second) / spread
""",
            "average spreads or their squares",
        ),
        (
            GAP
            + """if len(first) < 2:
        return plain_gap(first, second)
"""
            + f"    return plain_gap(first, second) / np.sqrt(({SQUARES}) / 2)",
            "which spread has a single number",
        ),
    ],
    "10.3": [
        ("two_against_five = sigma / np.sqrt(2)", "The five are not the truth"),
        ("two_against_five = sigma * np.sqrt(1 / 2 - 1 / 5)", "The five are not the truth"),
        ("two_against_five = sigma / 2**0.5 + sigma / 5**0.5", "when two errors are independent"),
        ("two_against_five = sigma * np.sqrt(2 + 1 / 5)", "nearer to one another than one"),
        ("two_against_five = sigma * np.sqrt(1 / 2 + 1 / 6)", "and which the mean of five"),
    ],
    "10.4": [
        ('true_statements = {"c", "e", "f"}', "on a: an edge is a quantile"),
        ('true_statements = {"a", "b", "c", "e", "f"}', "on b: what does a row"),
        ('true_statements = {"a", "e", "f"}', "on c: how many different values"),
        ('true_statements = {"a", "c", "d", "e", "f"}', "on d: which pairs belong"),
        ('true_statements = {"a", "c", "f"}', "on e: 20.5 and 20.499999999999996"),
        ('true_statements = {"a", "c", "e"}', "on f: in the first table of ties"),
        ('true_statements = "a, c, e, f"', "write the letters one by one"),
    ],
}

RIGHT = {
    "10.1": [
        MEANS
        + """means = train.groupby(by)["score"].mean()
    return [means.get(name, train["score"].mean()) for name in test[by]]
""",
        MEANS
        + """test["guess"] = test[by].map(train.groupby(by)["score"].mean())
    return test["guess"].fillna(train["score"].mean())
""",
    ],
    "10.2": [GAP + f"return (second.mean() - first.mean()) / np.sqrt(({SQUARES}) / 2)"],
    "10.3": ["two_against_five = 0.7**0.5 * sigma"],
    "10.4": ['true_statements = ("a", "c", "E", "f")'],
}
