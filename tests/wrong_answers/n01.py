"""Answers to the exercises of notebook 01 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

MEANS = "means = pd.Series(execution[train]).groupby(number[train]).mean()\n"
KNOWN = MEANS + "of_number = pd.Series(number[test]).map(means).fillna(execution[train].mean())\n"

WRONG = {
    "1.1": [
        ('suspects = tampered["id"][tampered["score"] - by_rule > 0.005]', "higher and lower"),
        ('suspects = tampered["id"][(tampered["score"] - by_rule).abs() > 0.5]', "by little"),
        ('suspects = tampered["id"][(tampered["score"] - by_rule).abs() > -1]', "follow the rule"),
        ('suspects = samples["id"][(samples["score"] - by_rule).abs() > 0.005]', "which table"),
        ('suspects = (tampered["score"] - by_rule).abs() > 0.005', "column `id`"),
        ('suspects = tampered[(tampered["score"] - by_rule).abs() > 0.005]', "column `id`"),
        ('suspects = tampered["id"][:3]', "the marks and the difficulty"),
    ],
    "1.2": [
        (
            """
means = pd.Series(execution).groupby(number).mean()
by_number = difficulty[test] * pd.Series(number[test]).map(means).to_numpy()
""",
            "Which are to be predicted?",
        ),
        (KNOWN + "by_number = of_number.to_numpy()", "a score or an execution score"),
        (
            """
means = pd.Series(execution).groupby(number).transform("mean")
by_number = difficulty * means.to_numpy()
""",
            "for which dives",
        ),
        (MEANS + "by_number = means.to_numpy()", "for which dives"),
        ("by_number = difficulty[test] * execution[train].mean()", "by hand"),
        (
            """
means = pd.Series(score[train]).groupby(number[train]).mean()
by_number = difficulty[test] * pd.Series(number[test]).map(means).fillna(0).to_numpy()
""",
            "by hand",
        ),
    ],
    "1.3": [
        ('true_statements = {"a", "b", "d"}', "difficulty alone reach"),
        ('true_statements = {"b", "c", "d"}', "announced"),
        ('true_statements = {"b", "d", "e"}', "which rows are gone"),
        ('true_statements = {"b"}', "lucky on just these"),
        ('true_statements = {"d"}', "horizontal rows"),
        ('true_statements = "b, d"', 'as a set: {"a", "e"}'),
    ],
}
RIGHT = {
    "1.1": ['suspects = list(tampered[~np.isclose(tampered["score"], by_rule, atol=0.01)]["id"])'],
    "1.2": [KNOWN + "by_number = list(difficulty[test] * of_number)"],
    "1.3": ['true_statements = ("d", "b")'],
}
