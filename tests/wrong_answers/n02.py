"""Wrong answers to the exercises of notebook 02 that a student would give, and a part of the hint each gets."""

WRONG = {
    "2.1": [
        (
            "def expected(choice):\n    return frame_numbers(0, 205, 205, frames=103, choice=choice)[:3].tolist()\n\nresample_first = [0, 1, 2]\nlast_first = [102, 103, 104]",
            "TODO",
        )
    ],
    "2.2": [
        (
            "wanted = paper.frames, paper.snippet_length, len(paper.snippet_starts)\ndef evenly(frames, length, count):\n    return np.linspace(0, frames, count).round().astype(int)",
            "TODO",
        )
    ],
    "2.3": [
        (
            'normalised = normalise(clip, "imagenet")\nmu, sigma = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))\ndef back_imagenet(x):\n    return ((x + mu) * sigma * 255).round().byte().permute(0, 2, 3, 4, 1)',
            "TODO",
        )
    ],
    "2.4": [('harmless = {"a", "c", "d", "e"}', "TODO")],
}
