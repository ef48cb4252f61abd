"""Wrong answers to the exercises of notebook 03 that a student would give, and a part of the hint each gets."""

WRONG = {
    "3.1": [
        (
            "brighter = torch.stack([frame, 2 * frame, 3 * frame])                  # [T, H, W]\nfactor = 6.0",
            "TODO",
        )
    ],
    "3.2": [
        (
            "picture = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(1))     # [B, I, H, W]\nweights_2d = torch.rand(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))\ndef inflate(weights_2d, L):\n    return weights_2d.unsqueeze(2).repeat(1, 1, L, 1, 1)",
            "TODO",
        )
    ],
    "3.3": [
        (
            "def weights_of(*shape):\n    return torch.nn.Conv3d(*shape, bias=False).weight.numel()\n\n\nthrough = 192 * 96 + 96 * 128 * 9\nstraight = 192 * 128 * 9",
            "TODO",
        )
    ],
    "3.4": [('true_statements = {"b", "d", "e"}', "TODO")],
}
