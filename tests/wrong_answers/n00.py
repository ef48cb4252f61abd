"""Answers to the exercises of notebook 00 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

WRONG = {
    "0.1": [
        ("fan_score = 58.5", "a 6 has gone"),
        ("fan_score = 6.5 + 6.5 + 7", "is that the execution score?"),
        ("fan_score = 3 * 3.0 * np.mean([10, 6, 6.5, 6.5, 6.5, 7, 7.5])", "Which of them count?"),
        ("fan_score = 3.0 * (10 + 6.5 + 6.5)", "when all are in order?"),
        ("fan_score = '60'", "without quotation marks"),
    ],
    "0.2": [
        ("def vote(scores, differences):\n    return np.median(scores + differences)", "30 points"),
        ("def vote(scores, differences):\n    return np.sum(scores + differences)", "1/M"),
        ("def vote(scores, differences):\n    return np.mean(scores - differences)", "worse than"),
        ("def vote(scores, differences):\n    return scores + differences", "three scores"),
        ("def vote(scores, differences):\n    return np.mean(scores)", "of the query come in"),
        ("def vote(scores, differences):\n    return sum(scores + differences) / 3", "two"),
        ("def vote(scores, differences):\n    print(np.mean(scores + differences))", "`return`"),
        (
            "def vote(scores, differences):\n    return mean(scores)",
            "why can this answer not be tried?",
        ),
        ("vote = 19.0", "why can this answer not be tried?"),
    ],
    "0.3": [
        ("rho_whole = [metrics.spearman(alone[:, j], rest[:, j]) for j in range(7)]", "other six"),
        ("rho_whole = np.mean([metrics.spearman(alone[:, j], score) for j in range(7)])", "many"),
        ("rho_whole = [metrics.spearman(given[:, j], score) for j in range(7)]", "the difficulty"),
        ("rho_whole = [np.corrcoef(alone[:, j], score)[0, 1] for j in range(7)]", "their order?"),
        ("rho_whole = [metrics.spearman(alone[:, 0], score)] * 7", "which column"),
    ],
    "0.4": [
        ('true_statements = {"a", "b", "d", "e"}', "invented truth"),
        ('true_statements = {"b", "c", "d", "e"}', "doubles every score"),
        ('true_statements = {"b", "e"}', "one point too much"),
        ('true_statements = {"b", "d"}', "how a judge will err"),
        ('true_statements = {"d", "e"}', "the middle of seven"),
        ('true_statements = "b, d, e"', 'as a set: {"a", "e"}'),
        ('true_statements = ["bde"]', 'as a set: {"a", "e"}'),
        ('true_statements = {"b", "d", "e", "f"}', "which letters"),
    ],
}
RIGHT = {
    "0.1": ["fan_score = 60", "fan_score = np.float32(60)"],
    "0.2": [
        "def vote(a, b):\n    return sum(x + y for x, y in zip(a, b)) / len(a)",
        "def vote(a, b):\n    return a.mean() + b.mean()",
    ],
    "0.3": ["rho_whole = np.array([metrics.spearman(one, score) for one in alone.T])"],
    "0.4": ['true_statements = ["B", "d", "e"]'],
}
