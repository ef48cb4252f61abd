"""Wrong answers to the exercises of notebook 09 that a student would give, and a part of the hint each gets."""

WRONG = {
    "9.1": [
        (
            "def standard_errors_apart(a, b):\n    return (np.mean(a) - np.mean(b)) / np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1))",
            "TODO",
        )
    ],
    "9.2": [("def foretold(r1, r_all, M):\n    return r_all + (r1 - r_all) / np.sqrt(M)", "TODO")],
    "9.3": [
        (
            "draws = np.random.default_rng(0).normal(0, 0.01, size=(20_000, 12))\nflattery = draws.max()",
            "TODO",
        )
    ],
    "9.4": [('true_statements = {"a", "b", "d"}', "TODO")],
}
