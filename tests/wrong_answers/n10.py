"""Wrong answers to the exercises of notebook 10 that a student would give, and a part of the hint each gets."""

WRONG = {
    "10.1": [
        (
            'def group_means(train, test, by):\n    return test[by].map(train.groupby(by)["score"].mean()).to_numpy()',
            "TODO",
        )
    ],
    "10.2": [
        (
            "def gap(first, second):\n    return (np.mean(second) - np.mean(first)) / np.sqrt((np.var(first) + np.var(second)) / 2)",
            "TODO",
        )
    ],
    "10.3": [("two_against_five = sigma / np.sqrt(2)", "TODO")],
    "10.4": [('true_statements = {"a", "b", "c", "e", "f"}', "TODO")],
}
