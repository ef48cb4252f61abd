"""Wrong answers to the exercises of notebook 01 that a student would give, and a part of the hint each gets."""

WRONG = {
    "1.1": [
        (
            'tampered = samples.copy()\nvictims = np.random.default_rng(1).choice(len(samples), 3, replace=False)\ntampered.loc[victims, "score"] += [0.6, -0.6, 0.1]\nsuspects = tampered["id"][tampered["score"] - by_rule > 0.005]',
            "TODO",
        )
    ],
    "1.2": [
        (
            'number = samples["group"].to_numpy()\nmeans = pd.Series(execution).groupby(number).mean()\nby_number = difficulty[test] * pd.Series(number[test]).map(means).to_numpy()',
            "TODO",
        )
    ],
    "1.3": [('true_statements = {"a", "b", "d"}', "TODO")],
}
