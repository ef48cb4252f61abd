"""Wrong answers to the exercises of notebook 06 that a student would give, and a part of the hint each gets."""

WRONG = {
    "6.1": [("five_edges, open_leaves = [0, 2, 2, 5, 5], 6", "TODO")],
    "6.2": [("def leaf_log_probs(turns):\n    return turns[-1].ravel()", "TODO")],
    "6.3": [
        (
            "edges3, leaf, position, expected_difference, predicted_score = [0, 3, 9], 3, 0.25, 2.25, 57 + 2.25",
            "TODO",
        )
    ],
    "6.4": [('true_statements = {"a", "b", "c", "e"}', "TODO")],
}
