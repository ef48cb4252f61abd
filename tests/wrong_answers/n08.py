"""Wrong answers to the exercises of notebook 08 that a student would give, and a part of the hint each gets."""

WRONG = {
    "8.1": [
        (
            'ten = judged.votes.groupby("id", sort=False).head(10)\nerrors = ten["predicted"] - ten["id"].map(true)\nalone = np.sqrt(np.mean(errors**2))\nexpected = alone / 10',
            "TODO",
        )
    ],
    "8.2": [
        (
            'whole = metrics.score_range_of(both["true_core"])\ngains_rl2 = []\nfor pick in picks:\n    drawn = both.iloc[pick]\n    core, mlp = (\n        metrics.relative_l2(drawn[f"predicted_{system}"], drawn[f"true_{system}"])\n        for system in ("core", "mlp")\n    )\n    gains_rl2.append(core - mlp)',
            "TODO",
        )
    ],
    "8.3": [
        (
            "three = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)\ndef hits_of_others(peaks, spans):\n    return spans[:, peaks].mean()",
            "TODO",
        )
    ],
    "8.4": [('true_statements = {"a", "b", "c", "e", "f"}', "TODO")],
}
