"""Wrong answers to the exercises of notebook 00 that a student would give, and a part of the hint each gets."""

WRONG = {
    "0.1": [("fan_score = 58.5", "TODO")],
    "0.2": [
        (
            "def vote(exemplar_scores, differences):\n    return np.mean(np.asarray(exemplar_scores) - np.asarray(differences))",
            "TODO",
        )
    ],
    "0.3": [("rho_whole = [metrics.spearman(alone[:, j], rest[:, j]) for j in range(7)]", "TODO")],
    "0.4": [('true_statements = {"a", "b", "d"}', "TODO")],
}
