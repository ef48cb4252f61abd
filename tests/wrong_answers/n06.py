"""Answers to the exercises of notebook 06 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

EDGES = "five_edges = [0, 2, 2, 2, 5]\n"
SOLVED = {
    "edges3": "[0, 3, 9]",
    "leaf": 3,
    "position": 0.25,
    "expected_difference": 2.25,
    "predicted_score": 63.75,
}


def given(**wrong):
    """All five answers to 6.3, these of them wrong."""
    return "\n".join(f"{name} = {value}" for name, value in (SOLVED | wrong).items())


WRONG = {
    "6.1": [
        ("five_edges, open_leaves = [2, 2, 2], 4", "how many edges do four intervals"),
        ("five_edges, open_leaves = [2, 2, 2, 2, 5], 4", "the smallest absolute difference"),
        ("five_edges, open_leaves = [0, 2, 2, 5, 5], 6", "what stands at index 2, at 5"),
        ("five_edges, open_leaves = [0, 1.25, 2.5, 3.75, 5], 8", "what stands at index 2, at 5"),
        (EDGES + "open_leaves = 8", "what can lie in an interval from 2 to 2"),
        (EDGES + "open_leaves = 2", "what is on the other side"),
    ],
    "6.2": [
        ("def leaf_log_probs(turns):\n    return turns[-1].ravel()", "do not add up to 1"),
        ("def leaf_log_probs(turns):\n    return turns[-1].sum(axis=1)", "how many numbers"),
        (
            """
def leaf_log_probs(turns):
    p = np.ones(1)
    for turn in turns:
        p = (p[:, None] * np.exp(turn)).ravel()
    return p
""",
            "can the logarithm of a probability be above 0",
        ),
        (
            """
def leaf_log_probs(turns):
    log_p = np.zeros(1)
    for turn in turns:
        log_p = (log_p + turn.T).ravel()
    return log_p
""",
            "whose two children come first",
        ),
        (
            """
def leaf_log_probs(turns):
    return (turns[0].ravel()[:, None] + turns[1]).ravel()
""",
            "a tree of one level",
        ),
        (
            """
def leaf_log_probs(turns):
    first = turns[0].ravel()
    return first if len(turns) == 1 else (first[:, None] + turns[1]).ravel()
""",
            "a tree of three levels",
        ),
    ],
    "6.3": [
        (given(edges3="[0, 3.5, 9]"), "with the six in order"),
        (given(leaf="'3'"), "`leaf`: by how much"),
        (given(leaf=4), "The leaf farthest left is number 0"),
        (given(position=0.5), "`position`: how far behind"),
        (given(expected_difference=1.7), "with *these* edges"),
        (given(expected_difference=4.5), "What do the other three"),
        (given(predicted_score=59.25), "Is 57 one?"),
        (given(predicted_score=21.25), "what makes a score of the sum"),
    ],
    "6.4": [
        ('true_statements = {"a", "b", "c", "e"}', "on b: which leaf's position"),
        ('true_statements = {"c", "e"}', "on a: in the first figure"),
        ('true_statements = {"a", "e"}', "on c: what do the middles"),
        ('true_statements = ["a", "c", "d", "e"]', "on d: what is the largest number"),
        ('true_statements = {"a", "c"}', "on e: -3.5 is labelled"),
        ('true_statements = "a, c, e"', "write the letters one by one"),
    ],
}

RIGHT = {
    "6.1": [
        "five_edges, open_leaves = np.array([0, 2, 2, 2, 5]), 4.0",
        "five_edges, open_leaves = (0, 2.0, 2, 2, 5), np.int64(4)",
    ],
    "6.2": [
        """
def leaf_log_probs(turns):
    found = [0.0]
    for level in turns:
        found = [a + b for a, node in zip(found, level) for b in node]
    return found
""",
        """
def leaf_log_probs(turns):
    for above, level in zip(turns, turns[1:]):
        level += above.reshape(-1, 1)
    return turns[-1].ravel()
""",
    ],
    "6.3": [given(edges3="np.array([0, 3, 9])", leaf="3.0", position="1.5 / 6")],
    "6.4": ['true_statements = ["A", "c", "e"]'],
}
