"""Answers to the exercises of notebook 09 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

APART = """
def standard_errors_apart(a, b):
    return (np.mean(a) - np.mean(b)) / %s
"""
FORETOLD = "def foretold(r1, r_all, M):\n    return "

WRONG = {
    "9.1": [
        (APART % "np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1))", "as much as one seed"),
        (APART % "np.sqrt(np.var(a) / len(a) + np.var(b) / len(b))", "by what does `np.var`"),
        (APART % "1", "How far might they be by chance"),
        (APART % "(-np.hypot(a.std(ddof=1), b.std(ddof=1)))", "which sign has the answer"),
        (APART % "np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(a))", "1 2 against 1 4 4"),
        (
            APART % "np.sqrt(np.std(a, ddof=1) / len(a) + np.std(b, ddof=1) / len(b))",
            "1 2 against 1 4 4",
        ),
    ],
    "9.2": [
        (FORETOLD + "r_all + (r1 - r_all) / np.sqrt(M)", "an error, or the square of one"),
        (FORETOLD + "r_all + r1 / M", "what was measured for one exemplar"),
        (FORETOLD + "r1 + (r_all - r1) / M", "what was measured for one exemplar"),
        (FORETOLD + "print(r1)", "Does the function end with `return`"),
        (FORETOLD + "r1 / M", "which part is left when very many vote"),
        (FORETOLD + "r_all + (r1 - r_all) / M**2", "how large is `own`"),
    ],
    "9.3": [
        (
            """
draws = np.random.default_rng(0).normal(0, 0.01, size=(20_000, 12))
flattery = draws.max()
""",
            "that is a stroke of luck",
        ),
        (
            """
draws = np.random.default_rng(0).normal(0, 0.01, size=(20_000, 12))
flattery = draws.mean()
""",
            "on which side does it tend to lie",
        ),
        (
            """
draws = np.random.default_rng(0).normal(0, 1, size=(20_000, 12))
flattery = draws.max(axis=1).mean()
""",
            "by 1, or by .01",
        ),
        ("flattery = 0.01", "how often did you draw twelve"),
        ("flattery = 0.01 / np.sqrt(12)", "how often did you draw twelve"),
    ],
    "9.4": [
        ('true_statements = {"a", "b", "d"}', "on a: who looks at the difference"),
        ('true_statements = {"d"}', "on b: ten of forty"),
        ('true_statements = {"b", "c", "d"}', "on c: with five seeds"),
        ('true_statements = {"b"}', "on d: on which dives"),
        ('true_statements = {"b", "d", "e"}', "on e: which part stands still"),
        ('true_statements = "b, d"', "write the letters one by one"),
    ],
    "9.5": [
        ('clips, fair_epochs, ahead = 13500, 15, "both"', "how many?"),
        ('clips, fair_epochs, ahead = 900, 30, "known"', "multiply: how many epochs"),
        ('clips, fair_epochs, ahead = 27000, 15, "known"', "how many epochs make as many clips"),
        ('clips, fair_epochs, ahead = 27000, 30, "b"', "which of the four words"),
        ('clips, fair_epochs, ahead = 27000, 30, "both"', "the table of parts"),
    ],
}

RIGHT = {
    "9.1": [APART % "(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size) ** 0.5"],
    "9.2": [FORETOLD + "r1 / M + r_all * (1 - 1 / M)"],
    "9.3": [
        """
rng, best = np.random.default_rng(1), []
for _ in range(5000):
    best.append(max(rng.normal(0.8, 0.01, size=12)) - 0.8)
flattery = sum(best) / len(best)
"""
    ],
    "9.4": ['true_statements = ["B", "d"]'],
    "9.5": ['clips, fair_epochs, ahead = 27e3, 30.0, "known"'],
}
