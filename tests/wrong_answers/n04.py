"""Wrong answers to the exercises of notebook 04 that a student would give, and a part of the hint each gets."""

WRONG = {
    "4.1": [('higher_rho, lower_rl2, rl2_b = "B", "B", 6.0', "TODO")],
    "4.2": [("def my_spearman(a, b):\n    return np.corrcoef(a, b)[0, 1]", "TODO")],
    "4.3": [("calm = 0.5 * bold", "TODO")],
    "4.4": [('true_statements = {"a", "b", "d", "e"}', "TODO")],
}
