"""Wrong answers to the exercises of notebook 05 that a student would give, and a part of the hint each gets."""

WRONG = {
    "5.1": [
        (
            "def in_group(values, labels):\n    return [abs(a - b) for a, k in zip(values, labels) for b, l in zip(values, labels) if k == l]",
            "TODO",
        )
    ],
    "5.2": [("from_batch, from_two = 8 * 7, 8", "TODO")],
    "5.3": [("strict = draw(test, count=3, seed=0)", "TODO")],
    "5.4": [('true_statements = {"a", "b", "d", "e"}', "TODO")],
}
