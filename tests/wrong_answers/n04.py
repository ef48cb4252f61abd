"""Answers to the exercises of notebook 04 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

WRONG = {
    "4.1": [
        ('higher_rho, lower_rl2, rl2_b = "B", "B", 6.0', "of the judges"),
        ('higher_rho, lower_rl2, rl2_b = "A", "A", 6.0', "is each system off"),
        ('higher_rho, lower_rl2, rl2_b = "A", "B", 0.06', "always printed"),
        ('higher_rho, lower_rl2, rl2_b = "A", "B", 18', "or their mean"),
        ('higher_rho, lower_rl2, rl2_b = "A", "B", 24.0', "divided"),
        ('higher_rho, lower_rl2, rl2_b = "A", "B", 25.0', "of which system"),
        ('higher_rho, lower_rl2, rl2_b = "A", "B", 4.0', "what does the formula do"),
        ("higher_rho, lower_rl2, rl2_b = 1.0, 0.06, 6.0", 'is it "A" or "B"'),
    ],
    "4.2": [
        ("def my_spearman(a, b):\n    return np.corrcoef(a, b)[0, 1]", "What did you correlate"),
        (
            "def my_spearman(a, b):\n    return np.corrcoef(np.argsort(a), np.argsort(b))[0, 1]",
            "the place of a value",
        ),
        (
            """
def my_spearman(a, b):
    return np.corrcoef(*(np.argsort(np.argsort(values)) for values in (a, b)))
""",
            "which entry",
        ),
        (
            """
def my_spearman(a, b):
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return 6 * np.sum((ranks[0] - ranks[1]) ** 2) / (len(a) * (len(a) ** 2 - 1))
""",
            "the same order",
        ),
        (
            """
def my_spearman(a, b):
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return 1 - 6 * np.sum((ranks[0] - ranks[1]) ** 2) / (5 * (5**2 - 1))
""",
            "with 30 numbers",
        ),
        (
            """
def my_spearman(a, b):
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return abs(np.corrcoef(*ranks)[0, 1])
""",
            "with a minus",
        ),
    ],
    "4.3": [
        ("calm = 0.5 * bold", "Towards what"),
        ("calm = np.full_like(bold, bold.mean())", "and how far after"),
        ("calm = bold - 0.5 * bold.mean()", "Towards what"),
        ("calm = bold.mean() - 0.5 * (bold - bold.mean())", "its side of the mean"),
        ("calm = bold.mean() + 0.5 * (np.sort(bold) - bold.mean())", "its dive's place"),
        ("calm = 0.5 * (bold.mean() + bold[0])", "how many predictions"),
    ],
    "4.4": [
        ('true_statements = {"a", "b", "d", "e"}', "looked at once"),
        ('true_statements = {"a", "b", "c", "e"}', "20 points more"),
        ('true_statements = {"a", "b"}', "around 0"),
        ('true_statements = {"a", "e"}', "the root is taken"),
        ('true_statements = {"b", "e"}', "times the difficulty"),
        ('true_statements = "a, b, e"', 'as a set: {"a", "e"}'),
        ('true_statements = {"a, b, e"}', 'as a set: {"a", "e"}'),
    ],
}
RIGHT = {
    "4.1": ['higher_rho, lower_rl2, rl2_b = "a", "b", 6'],
    "4.2": [
        """
def my_spearman(a, b):
    rank = [[sum(other < one for other in values) for one in values] for values in (a, b)]
    squared = sum((x - y) ** 2 for x, y in zip(*rank))
    return 1 - 6 * squared / (len(a) * (len(a) ** 2 - 1))
"""
    ],
    "4.3": [
        "calm = [(one + bold.mean()) / 2 for one in bold]",
        'calm = found["predicted"] / 2 + bold.mean() / 2',
    ],
    "4.4": ['true_statements = ["e", "b", "a"]'],
}
