"""A run's features as a prepared dataset: what is trained on it learns from a frozen encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from corelib.data.banks import write_bank
from corelib.data.rows import BANK
from corelib.data.samples import SampleTable, new_dataset, write_table
from corelib.evaluation import encode
from corelib.runs.run import Run


def freeze_features(
    run: Run, out: str | Path, *, workers: int = 0, progress: bool = False
) -> SampleTable:
    """Encode every video of a run's dataset once and write the features [N, 1, D] to `out`.

    The dataset is made only if it is not there, or was made from other weights or data.
    """
    out, table = Path(out), run.table
    weights = hashlib.sha256((run.folder / "best.safetensors").read_bytes()).hexdigest()
    origin = {"encoder": run.folder.name, "encoder_sha256": weights, "dataset_sha256": table.sha256}
    if (out / "dataset.json").is_file():
        frozen = SampleTable.load(out)
        if all(frozen.info.get(key) == value for key, value in origin.items()):
            return frozen
    how = {"device": run.device, "precision": run.recipe.precision}
    rows = np.arange(len(table.samples))
    features = encode(run.model, run.source, rows, workers=workers, progress=progress, **how)
    info = {key: value for key, value in table.info.items() if key != "raw_root"}
    with new_dataset(out, overwrite=True) as folder:
        ids = table.samples["id"].tolist()
        write_bank(folder / BANK, features[:, None].cpu().numpy(), ids)
        samples = table.samples.assign(media=table.samples["id"])
        write_table(folder, info | {"name": out.name} | origin, samples)
    return SampleTable.load(out)
