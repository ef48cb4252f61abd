"""Wrong answers to the exercises of notebook 07 that a student would give, and a part of the hint each gets."""

WRONG = {
    "7.1": [("blind_loss = np.log2(K) + 1 / 12", "TODO")],
    "7.2": [
        (
            'net = build_model(plan, targets[rows], groups[rows])\noptimizer = torch.optim.AdamW([{"params": net.encoder.parameters(), "lr": 1e-4}], lr=1e-3)\nrate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}',
            "TODO",
        )
    ],
    "7.3": [
        (
            'made_up = pd.DataFrame({\n    "epoch": [3, 4, 5, 6, 7], "loss": [2.4, 2.1, 1.9, 1.8, 1.7],\n    "val_spearman": [0.80, np.nan, 0.91, 0.91, 0.88], "val_rl2_x100": [1.2, np.nan, 0.7, 0.5, 0.4],\n})\ndef choose_epoch(history):\n    return int(history["val_spearman"].idxmax())',
            "TODO",
        )
    ],
    "7.4": [('true_statements = {"a", "b", "d", "f"}', "TODO")],
}
