"""Answers to the exercises of notebook 08 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

LOOP = """
gains_rl2 = []
for pick in picks:
    drawn = both.iloc[pick]
    core, mlp = (
        metrics.relative_l2(drawn[f"predicted_{system}"], drawn[f"true_{system}"]%s)
        for system in ("core", "mlp")
    )
    gains_rl2.append(%s)
"""
WHOLE = ", score_range=whole"

WRONG = {
    "8.1": [
        ("expected = alone / 10", "the error, or its square"),
        ("expected = alone", "more than one of them, as much, or less"),
        ("expected = alone * np.sqrt(10)", "more than one of them, as much, or less"),
        ("expected = alone / np.sqrt(9)", "which variance has a mean of ten"),
    ],
    "8.2": [
        (LOOP % ("", "core - mlp"), "when it is not told `score_range`"),
        (LOOP % (WHOLE, "mlp - core"), "which of the two is subtracted from which"),
        (LOOP % (WHOLE, "100 * (core - mlp)"), "or a hundred times that already"),
        (LOOP % (WHOLE, "core"), "is each difference one of `relative_l2`"),
        ("gains_rl2 = gains", "is each difference one of `relative_l2`"),
        ("gains_rl2 = np.mean(gains)", "how many differences are there"),
    ],
    "8.3": [
        ("half_80, fewest_95 = 5.2, 19", "no interpolation"),
        ("half_80, fewest_95 = 4, 19", "the new dive counts too"),
        ("half_80, fewest_95 = 7, 19", "they leave ten gaps for a tenth"),
        ("half_80, fewest_95 = 6, 20", "how many errors are needed for 20 gaps"),
        ("half_80, fewest_95 = 6, 9", "the largest of n errors is the n-th"),
    ],
    "8.4": [
        (
            "def hits_of_others(peaks, spans):\n    return spans[:, peaks].mean()",
            "in which of them does a dive meet itself",
        ),
        (
            """
def hits_of_others(peaks, spans):
    return spans[np.arange(len(peaks)), peaks].mean()
""",
            "Whose peaks are to be taken",
        ),
        (
            """
def hits_of_others(peaks, spans):
    inside = spans[:, peaks]
    return inside.sum() - np.trace(inside)
""",
            "is a share",
        ),
        (
            """
def hits_of_others(peaks, spans):
    inside = spans[:, peaks]
    return np.triu(inside, 1).sum() / 3
""",
            "write down the six pairs",
        ),
        (
            """
def hits_of_others(peaks, spans):
    inside = spans[:, peaks].astype(int)
    return (inside.sum() - np.trace(inside)) / 6
""",
            "and with two dives",
        ),
    ],
    "8.5": [
        ('true_statements = {"a", "b", "e", "f"}', "on a: what stands on the right"),
        ('true_statements = {"e", "f"}', "on b: 'why this score?'"),
        ('true_statements = {"b", "c", "e", "f"}', "on c: can a map"),
        ('true_statements = {"b", "d", "e", "f"}', "on d: whose reasons"),
        ('true_statements = {"b", "f"}', "on e: which of the two"),
        ('true_statements = {"b", "e"}', "on f: the model of the laptop recipe"),
        ('true_statements = "b, e, f"', "write the letters one by one"),
    ],
}

RIGHT = {
    "8.1": ["expected = np.sqrt(alone**2 / 10)", "expected = float(alone) * 0.1**0.5"],
    "8.2": [LOOP % (WHOLE, "core - mlp") + "gains_rl2 = np.array(gains_rl2)"],
    "8.3": ["half_80, fewest_95 = 6, 19.0"],
    "8.4": [
        """
def hits_of_others(peaks, spans):
    places = range(len(peaks))
    hits = [spans[i][peaks[j]] for i in places for j in places if i != j]
    return sum(hits) / len(hits)
"""
    ],
    "8.5": ['true_statements = ["b", "e", "f"]'],
}
