"""Answers to the exercises of notebook 03 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

WRONG = {
    "3.1": [
        ("factor = 6.0", "paler"),
        ("factor = 1", "the same as the first"),
        ("factor = 3", "or all three"),
        ("factor = 2 / 3", "the slice t"),
        ("factor = '2'", "without quotation marks"),
    ],
    "3.2": [
        (
            """
def inflate(weights_2d, L):
    return weights_2d.unsqueeze(2).repeat(1, 1, L, 1, 1)
""",
            "add up to",
        ),
        (
            """
def inflate(weights_2d, L):
    return (weights_2d / 3).unsqueeze(2).repeat(1, 1, L, 1, 1)
""",
            "add up to",
        ),
        (
            """
def inflate(weights_2d, L):
    return (weights_2d / 4).unsqueeze(2).repeat(1, 1, 4, 1, 1)
""",
            "at which place",
        ),
        (
            """
def inflate(weights_2d, L):
    return (weights_2d / L).unsqueeze(0).expand(L, -1, -1, -1, -1)
""",
            "at which place",
        ),
        (
            """
def inflate(weights_2d, L):
    inflated = torch.zeros(*weights_2d.shape[:2], L, *weights_2d.shape[2:])
    inflated[:, :, L // 2] = weights_2d
    return inflated
""",
            "all L slices",
        ),
        (
            """
def inflate(weights_2d, L):
    return (weights_2d / L).expand(-1, -1, L, -1, -1)
""",
            "why can this answer not be tried?",
        ),
    ],
    "3.3": [
        ("through, straight = 192 * 96 + 96 * 128 * 9, 192 * 128 * 9", "numbers are 3 x 3 x 3"),
        ("through, straight = 96 * 128 * 27, 128 * 27", "does one kernel reach"),
        ("through, straight = 96 * 128 * 27, 192 * 128 * 27", "192 channels become 96"),
        ("through, straight = 192 * 96 * 96 * 128 * 27, 192 * 128 * 27", "two together"),
        ("through, straight = (192 * 96 + 96 * 128) * 27, 192 * 128 * 27", "two together"),
        ("straight, through = 192 * 96 + 96 * 128 * 27, 192 * 128 * 27", "over all 192 channels"),
    ],
    "3.4": [
        ('true_statements = {"b", "d", "e"}', "two directions of how many"),
        ('true_statements = {"a", "d", "e"}', "all dots in one place"),
        ('true_statements = {"c", "d", "e"}', "BatchNorm"),
        ('true_statements = {"d"}', "slices of a kernel"),
        ('true_statements = {"e"}', "after the mean"),
        ('true_statements = ("d e")', 'as a set: {"a", "e"}'),
    ],
}
RIGHT = {
    "3.1": ["factor = 2", "factor = torch.tensor(2.0)"],
    "3.2": [
        """
def inflate(weights_2d, L):
    weights_2d /= L
    return torch.stack([weights_2d] * L, dim=2)
"""
    ],
    "3.3": ["through, straight = 350208.0, 663552.0"],
    "3.4": ['true_statements = ["d", "e"]'],
}
