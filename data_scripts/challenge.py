"""Hold a class challenge: hidden dives that nobody has seen, hand-ins, and a ranking of them.

python -m data_scripts.challenge make --secret FILE --out FOLDER
python -m data_scripts.challenge hand-in RUN --challenge FOLDER --out NAME.csv
python -m data_scripts.challenge rank FOLDER NAME.csv ... --secret FILE
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from corelib.machine.commands import Commands
from corelib.machine.files import write_atomically
from corelib.machine.messages import describe_os_error, one_line
from corelib.recipe import parse_exemplars
from corelib.runs.options import exemplars_option
from data_scripts.challenges.hidden import make_challenge, read_dives, video_file
from data_scripts.challenges.page import ranking_page, ranking_text
from data_scripts.challenges.ranking import rank_hand_ins, read_hand_in
from data_scripts.challenges.secret import ChallengeError, read_secret, read_truth, truth_file
from data_scripts.prepared.options import (
    FILE,
    FILE_THERE,
    FOLDER_THERE,
    out_option,
    overwrite_option,
    place_option,
)


@click.group(cls=Commands, help=__doc__.splitlines()[0], context_settings={"show_default": True})
def main() -> None:
    pass


@main.command()
@place_option("--secret", FILE, "The challenge's secret; drawn and written if it is not there.")
@out_option("Folder to hand out.")
@click.option("--dives", default=150, type=click.IntRange(2, 100_000), help="Hidden dives.")
@click.option("--frames", default=36, help="Frames of each video, as in the training data.")
@click.option("--size", default=72, help="Height and width in pixels, as in the training data.")
@overwrite_option
def make(secret: Path, out: Path, **how) -> None:
    """Draw hidden dives for a class. A folder of videos without their scores."""
    make_challenge(out, secret, **how)
    click.echo(f"{out}: {how['dives']} dives without their scores; hand out this folder")
    click.echo(f"{secret} and {truth_file(secret)}: keep both to yourself, and a copy")


@main.command("hand-in")
@click.argument("run", type=FOLDER_THERE)
@place_option("--challenge", FOLDER_THERE, "The folder that was handed out.")
@place_option("--out", FILE, "The file to hand in, named as you want to be in the ranking.")
@exemplars_option
def hand_in(run: Path, challenge: Path, out: Path, exemplars) -> None:
    """Score a challenge's dives with a trained RUN. One row each: id, score, low, high."""
    asked = parse_exemplars(exemplars)
    predictions = predict(run, challenge, exemplars=asked)
    write_atomically(out, predictions.to_csv(index=False, lineterminator="\n"))
    click.echo(f"{out}: {len(predictions)} dives scored; hand in this file")


@main.command()
@click.argument("challenge", type=FOLDER_THERE)
@click.argument("hand_ins", metavar="NAME.csv ...", nargs=-1, required=True, type=FILE)
@place_option("--secret", FILE_THERE, "The secret that the challenge was made with.")
@click.option("--out", type=FILE, default="ranking.html", help="The ranking as a page.")
def rank(challenge: Path, hand_ins: tuple[Path, ...], secret: Path, out: Path) -> None:
    """Rank hand-ins. By Spearman's rho, with what chance leaves of it."""
    table, content = read_dives(challenge)
    truth = read_truth(secret, read_secret(secret), content)
    accepted, refused = [], []
    for path in _of_different_names(hand_ins):
        try:
            accepted.append(read_hand_in(path, table["id"]))
        except ChallengeError as error:
            refused.append(str(error))
        except OSError as error:
            refused.append(describe_os_error(error))
    for line in refused:
        click.echo(f"not ranked: {one_line(line)}", err=True)
    if not accepted:
        raise ChallengeError("no hand-in can be ranked, so there is no ranking")
    places = rank_hand_ins(accepted, np.array([truth[name] for name in table["id"]]))
    click.echo(ranking_text(places, len(table)))
    write_atomically(out, ranking_page(places, refused, len(table)))
    click.echo(f"\n{out}: the same as a page")


def predict(run: Path, challenge: Path, *, exemplars: int | str | None = None) -> pd.DataFrame:
    """The predictions of a trained run for a challenge's dives: id, score, low, high.

    Raises as Run.load and score_video.
    """
    from corelib.runs.run import Run
    from corelib.runs.score import score_video

    dives, _ = read_dives(challenge)
    loaded, rows = Run.load(run), []
    by_number = loaded.task.paired_by == "group" and loaded.recipe.system == "core"
    for dive in tqdm(dives.itertuples(), total=len(dives), desc="dives", unit="dive"):
        shown = {"difficulty": dive.difficulty, "group": dive.group if by_number else None}
        video = video_file(challenge, dive.id)
        scored = score_video(loaded, video, exemplars=exemplars, **shown)
        rows.append((dive.id, scored["score"], *scored["interval_90"]))
    return pd.DataFrame(rows, columns=["id", "score", "low", "high"])


def _of_different_names(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    counts = Counter(path.stem for path in paths)
    if double := [name for name, count in counts.items() if count > 1]:
        alike = ", ".join(str(path) for path in paths if path.stem == double[0])
        raise ChallengeError(one_line(f"{alike}: one name for several hand-ins; rename the files"))
    return paths


if __name__ == "__main__":
    main()
