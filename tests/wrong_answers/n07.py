"""Answers to the exercises of notebook 07 that a student would give: wrong ones, each with a part
of the hint that it gets, and right ones that are not the solution."""

WRONG = {
    "7.1": [
        ("blind_loss = np.log2(K) + 1 / 12", "that of base 2 or the natural one"),
        ("blind_loss = 1 / K", "how surprised is a tree by a leaf"),
        ("blind_loss = np.log(1 / K) + 1 / 12", "The surprise is a negative logarithm"),
        ("blind_loss = np.log(K)", "that is the first part"),
        ("blind_loss = np.log(K) + 0.25", "what is its *square* on average"),
        ("blind_loss = np.log(K) + 0.25**2", "what is its *square* on average"),
    ],
    "7.2": [
        ("optimizer = torch.optim.AdamW(fresh.parameters(), lr=1e-4)", "one group with one rate"),
        (
            """
optimizer = torch.optim.AdamW([{"params": fresh.encoder.parameters(), "lr": 1e-4}], lr=1e-3)
""",
            "Who is in none never learns",
        ),
        (
            """
optimizer = torch.optim.AdamW(
    [
        {"params": fresh.encoder.parameters(), "lr": 1e-3},
        {"params": fresh.tree.parameters(), "lr": 1e-4},
    ]
)
""",
            "which part has learned before",
        ),
        (
            """
optimizer = torch.optim.AdamW(
    [{"params": fresh.encoder.parameters(), "lr": 1e-4}, {"params": fresh.tree.parameters()}],
    lr=1e-2,
)
""",
            "at which rate does the paper let it learn",
        ),
        (
            """
optimizer = torch.optim.SGD(
    [
        {"params": fresh.encoder.parameters(), "lr": 1e-4},
        {"params": fresh.tree.parameters(), "lr": 1e-3},
    ]
)
""",
            "is `optimizer` an AdamW",
        ),
    ],
    "7.3": [
        (
            'def choose_epoch(history):\n    return int(history["val_spearman"].idxmax())',
            "or a place in the frame",
        ),
        (
            """
def choose_epoch(history):
    return history.loc[history["val_spearman"].idxmax(), "epoch"]
""",
            "which has the lower R-l2",
        ),
        (
            """
def choose_epoch(history):
    return history.sort_values("val_rl2_x100")["epoch"].iloc[0]
""",
            "which column is to be highest",
        ),
        (
            """
def choose_epoch(history):
    return history.sort_values("val_spearman")["epoch"].iloc[-1]
""",
            "epoch 4 was not validated",
        ),
        (
            """
def choose_epoch(history):
    best = None
    for row in history.dropna().to_dict("records"):
        if best is None or row["val_spearman"] >= best["val_spearman"]:
            best = row
    return best["epoch"]
""",
            "with its rows in the other order",
        ),
        ("def choose_epoch(history):\n    return 6", "on the runs in `trained`"),
    ],
    "7.4": [
        ('true_statements = {"a", "b", "d", "f"}', "on a: in the cell about BatchNorm"),
        ('true_statements = {"d", "f"}', "on b: with free statistics"),
        ('true_statements = {"b", "c", "d", "f"}', "on c: what does the table"),
        ('true_statements = {"b", "f"}', "on d: if m is better"),
        ('true_statements = {"b", "d", "e", "f"}', "on e: the seed draws"),
        ('true_statements = {"b", "d"}', "on f: what does `last.pt` hold"),
        ('true_statements = "b, d, f"', "write the letters one by one"),
    ],
}

RIGHT = {
    "7.1": [
        "blind_loss = torch.tensor(1 / 12 - np.log(1 / K))",
        "blind_loss = np.log(K) + np.mean((0.5 - np.linspace(0, 1, 1000)) ** 2)",
    ],
    "7.2": [
        """
optimizer = torch.optim.AdamW(
    [{"params": fresh.tree.parameters()}, {"params": fresh.encoder.parameters(), "lr": 1e-4}],
    lr=1e-3,
)
"""
    ],
    "7.3": [
        """
def choose_epoch(history):
    history["val_spearman"] = history["val_spearman"].fillna(-2)
    best = history[history["val_spearman"] == history["val_spearman"].max()]
    return best.loc[best["val_rl2_x100"].idxmin(), "epoch"]
""",
        """
def choose_epoch(history):
    rows = history.dropna().to_dict("records")
    return max(rows, key=lambda row: (row["val_spearman"], -row["val_rl2_x100"]))["epoch"]
""",
    ],
    "7.4": ['true_statements = ("b", "D", "f")'],
}
