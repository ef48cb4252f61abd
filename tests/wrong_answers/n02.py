"""Answers to the exercises of notebook 02 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

LAST, RESAMPLE = "last_first = [102, 103, 104]", "resample_first = [0, 2, 4]"

WRONG = {
    "2.1": [
        (f"resample_first = [0, 1, 2]\n{LAST}", "how long is each"),
        (f"resample_first = [k * 205 / 103 for k in range(3)]\n{LAST}", "how long is each"),
        (f"resample_first = [1, 3, 5]\n{LAST}", "for k = 0, when a is 0"),
        (f"last_first = [101, 102, 103]\n{RESAMPLE}", "204 here, or 205"),
        (f"last_first = [204, 203, 202]\n{RESAMPLE}", "run backwards"),
        (f"last_first = [202, 203, 204]\n{RESAMPLE}", "where does the first one lie"),
        (f"last_first = 102\n{RESAMPLE}", "how many frame numbers"),
    ],
    "2.2": [
        (
            """
def evenly(frames, length, count):
    return np.linspace(0, frames, count).round().astype(int)
""",
            "the frames up to 102",
        ),
        (
            """
def evenly(frames, length, count):
    return np.linspace(0, frames - length, count)
""",
            "between two frames",
        ),
        (
            """
def evenly(frames, length, count):
    return np.arange(0, frames - length, length)
""",
            "how many starts",
        ),
        (
            """
def evenly(frames, length, count):
    step = (frames - length) // (count - 1)
    return [step * k for k in range(count - 1)] + [frames - length]
""",
            "equally long",
        ),
        (
            """
def evenly(frames, length, count):
    return np.linspace(0, 87, 10).round().astype(int)
""",
            "for other clips",
        ),
        (
            """
def evenly(frames, length, count):
    return np.linspace(1, frames - length, count).round().astype(int)
""",
            "as Python does",
        ),
        (
            """
def evenly(frames, length, count):
    starts = np.linspace(0, frames - length, count).round().astype(int)
""",
            "`return`",
        ),
    ],
    "2.3": [
        (
            """
def back_imagenet(x):
    return ((x + mu) * sigma * 255).round().byte().permute(0, 2, 3, 4, 1)
""",
            "to be undone first",
        ),
        (
            """
def back_imagenet(x):
    return ((x * sigma + mu) * 255).round().permute(0, 2, 3, 4, 1)
""",
            "of which type",
        ),
        (
            """
def back_imagenet(x):
    return ((x * sigma + mu) * 255).round().byte()
""",
            "where did the channels go",
        ),
        (
            """
def back_imagenet(x):
    return ((x * sigma + mu) * 255).byte().permute(0, 2, 3, 4, 1)
""",
            "one too small",
        ),
        (
            """
def back_imagenet(x):
    return ((x * sigma + mu) * 255).round().byte().permute(0, 2, 4, 3, 1)
""",
            "where did the channels go",
        ),
        ("def back_imagenet(x):\n    return clip", "where did the channels go"),
        ("back_imagenet = back_kinetics", "to be undone first"),
    ],
    "2.4": [
        ('harmless = {"a", "c", "d", "e"}', "the body to stand"),
        ('harmless = {"a", "b", "d", "e"}', "out of the water"),
        ('harmless = {"a", "d", "e", "f"}', "comes last in a dive"),
        ('harmless = {"a", "e"}', "not in its middle"),
        ('harmless = {"a", "d"}', "which side the board"),
        ('harmless = {"d", "e"}', "how bright"),
        ('harmless = "ade"', 'as a set: {"a", "e"}'),
    ],
}
RIGHT = {
    "2.1": ["resample_first, last_first = (0, 2, 4), np.arange(102, 105)"],
    "2.2": [
        """
def evenly(frames, length, count):
    return [k * (frames - length) // (count - 1) for k in range(count)]
"""
    ],
    "2.3": [
        """
def back_imagenet(x):
    x = x.mul_(sigma).add_(mu).mul_(255).round_()
    return np.moveaxis(x.numpy(), 1, 4).astype("uint8")
"""
    ],
    "2.4": ['harmless = ["a", "d", "e"]'],
}
