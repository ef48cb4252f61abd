"""Answers to the exercises of notebook 05 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

LOOPS = """
def in_group(values, labels):
    n = len(values)
    return [{0} for i in range(n) for j in range({1}) if {2}]
"""
KNOWN = 'ids=samples["id"].to_numpy(), difficulty=difficulty'
NUMBER = 'groups=samples["group"].to_numpy()'

WRONG = {
    "5.1": [
        (LOOPS.format("abs(values[i] - values[j])", "n", "labels[i] == labels[j]"), "of 0 between"),
        (LOOPS.format("values[j] - values[i]", "i", "labels[i] == labels[j]"), "its sign"),
        (
            LOOPS.format("abs(values[i] - values[j])", "n", "i != j and labels[i] == labels[j]"),
            "7 with 5",
        ),
        (LOOPS.format("abs(values[i] - values[j])", "i", "True"), "may 10 be compared"),
        (LOOPS.format("abs(values[i] - values[j])", "i", "labels[i] != labels[j]"), "may 10 be"),
        (
            """
def in_group(values, labels):
    n = len(values)
    return [abs(values[i] - values[i - 1]) for i in range(1, n) if labels[i] == labels[i - 1]]
""",
            "three samples make",
        ),
        (
            LOOPS.format("abs(values[i] - values[j])", "i", "labels[i] == labels[j]")
            + "\nall_pairs = in_group\n\ndef in_group(*given):\n    return set(all_pairs(*given))",
            "three samples make",
        ),
        ("def in_group(values, labels):\n    return np.abs(np.diff(values))", "may 10 be compared"),
        ("def in_group(values, labels):\n    return []", "which pairs share a label"),
        ("def in_group(values, labels):\n    print(values)", "`return`"),
    ],
    "5.2": [
        ("from_batch, from_two = 8 * 7, 8", "query of the other"),
        ("from_batch, from_two = 5 * 3, 8", "across the groups"),
        ("from_batch, from_two = 5 * 5 + 3 * 3, 8", "with itself"),
        ("from_batch, from_two = 10 + 3, 8", "ordered pair"),
        ("from_batch, from_two = 5 * 4, 8", "each of the three"),
        ("from_batch, from_two = 26, 4", "how many orders"),
        ("from_batch, from_two = 26, 16", "need none"),
        ("from_batch, from_two = 26, 2", "how many couples"),
    ],
    "5.3": [
        ("strict = draw(test, count=3, seed=0)", "now share"),
        (f"strict = draw_exemplars(test, train, {NUMBER}, {KNOWN})", "how many exemplars"),
        (
            f"strict = draw_exemplars(test, train, {NUMBER}, {KNOWN}, count=3, fill=False)",
            "how many exemplars",
        ),
        (f"strict = draw_exemplars(test, test, {NUMBER}, {KNOWN}, count=3)", "which argument"),
        (f"strict = draw_exemplars(test, train, {NUMBER}, {KNOWN}, count=3, seed=1)", "which seed"),
        (f"strict = draw_exemplars(train, train, {NUMBER}, {KNOWN}, count=3)", "how many queries"),
        ("strict = draw(test, count=3).exemplar", "all that `draw_exemplars` gives back"),
    ],
    "5.4": [
        ('true_statements = {"a", "b", "d", "e"}', "Whose scores"),
        ('true_statements = {"a", "c", "d", "e"}', "the network's input"),
        ('true_statements = {"a", "d"}', "in different order"),
        ('true_statements = {"a", "e"}', "n (n - 1)"),
        ('true_statements = {"d", "e"}', "beforehand"),
        ('true_statements = "a d e"', 'as a set: {"a", "e"}'),
    ],
}
RIGHT = {
    "5.1": [
        """
def in_group(values, labels):
    i, j = np.triu_indices(len(values), 1)
    return np.abs(values[i] - values[j])[labels[i] == labels[j]]
"""
    ],
    "5.2": ["from_batch, from_two = 26.0, np.int64(8)"],
    "5.3": [f'strict = draw_exemplars(test, train, groups=samples["group"], {KNOWN}, count=3)'],
    "5.4": ['true_statements = ["A", "D", "E"]'],
}
