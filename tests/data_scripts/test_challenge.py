"""The class challenge: what is handed out tells nothing, and what is handed in is ranked fairly."""

import base64
import os
import shutil
import stat
from html.parser import HTMLParser

import av
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import rankdata, spearmanr

from corelib.recipe import named
from corelib.runs.run import Run
from corelib.runs.score import score_video
from data_scripts.challenges import hidden
from data_scripts.challenges.hidden import draw_dives, make_challenge, read_dives, video_file
from data_scripts.challenges.page import HEADS, ranking_page
from data_scripts.challenges.ranking import HandIn, rank_hand_ins, read_hand_in
from data_scripts.challenges.secret import (
    ChallengeError,
    find_or_draw_secret,
    read_secret,
    read_truth,
    truth_file,
)
from data_scripts.dives.judges import draw_dive
from tests.runs.test_score import untrained

SECRET = "00112233445566778899aabbccddeeff"
SMALL = {"dives": 9, "frames": 16, "size": 32}
OPTIONS = ("--dives", 9, "--frames", 16, "--size", 32)


@pytest.fixture(scope="module")
def command(script):
    """command("rank", ...) -> the result: exit_code, stdout, stderr."""
    return lambda *words: CliRunner().invoke(script.main, [str(word) for word in words])


def make(place, name="challenge", secret=SECRET, **changes):
    """(the challenge's folder, its secret's file) in a place of their own."""
    place.mkdir(exist_ok=True)
    file = place / "secret"
    if not file.exists():
        file.write_text(secret)
        file.chmod(0o600)
    make_challenge(place / name, file, **SMALL | changes)
    return place / name, file


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    return make(tmp_path_factory.mktemp("challenge") / "lecturer")


@pytest.fixture(scope="module")
def truth(challenge):
    """The true scores by id."""
    folder, secret = challenge
    return read_truth(secret, read_secret(secret), (folder / "dives.csv").read_bytes())


@pytest.fixture(scope="module")
def runs(small_dives, tmp_path_factory):
    """Folders of runs with random weights: by difficulty, by dive number, without validation."""
    place, found = tmp_path_factory.mktemp("runs"), {}
    errors = np.arange(1.0, 20)  # of which the 18th of 19 is the half of a 90 % interval
    held = pd.DataFrame(
        {"id": [f"v{n}" for n in range(19)], "true": 50.0, "predicted": 50 + errors}
    )
    held = held.assign(spread=1.0, exemplars="dive-00001")
    for name, knobs in {
        "difficulty": {"with_difficulty": True},
        "number": {"pair_by": "group"},
        "none": {"system": "mlp"},
    }.items():
        recipe = named("smoke", exemplars=2, **knobs)
        found[name] = untrained(small_dives, recipe, place / name)
        if name != "none":
            held.to_csv(found[name] / "validation.csv", index=False)
    return found


def contents(folder):
    """{path: bytes} of every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# The secret and what it hides


def test_the_same_secret_makes_the_same_challenge_and_another_one_another(challenge, tmp_path):
    folder, secret = challenge
    again, _ = make(tmp_path / "again")
    assert contents(again) == contents(folder)
    other, other_secret = make(tmp_path / "other", secret=SECRET[:-1] + "e")
    (ids, _), (others, _) = read_dives(folder), read_dives(other)
    assert not set(ids["id"]) & set(others["id"])
    videos, other_videos = (set(contents(place / "videos").values()) for place in (folder, other))
    assert len(videos) == len(other_videos) == 9 and not videos & other_videos
    assert truth_file(secret).read_bytes() != truth_file(other_secret).read_bytes()


def test_every_bit_of_the_secret_changes_every_dive():
    secret = bytes.fromhex(SECRET)
    (name, dive), *_ = draw_dives(secret, 1).items()
    for bit in range(128):
        flipped = (int.from_bytes(secret, "big") ^ 1 << bit).to_bytes(16, "big")
        ((other, changed),) = draw_dives(flipped, 1).items()
        assert other != name and changed.appearance != dive.appearance


def test_a_dive_is_drawn_by_more_than_can_be_tried(monkeypatch):
    """Its generator begins with 256 bits of its own: 32 would be found, whatever the secret."""
    seeds = []

    def noted(generator):
        seeds.append(generator.bit_generator.seed_seq.entropy)
        return draw_dive(generator)

    monkeypatch.setattr(hidden, "draw_dive", noted)
    hidden.draw_dives(bytes.fromhex(SECRET), 20)
    assert len(set(seeds)) == 20 and min(seed.bit_length() for seed in seeds) > 240


def test_how_many_dives_there_are_changes_none():
    few, many = (draw_dives(bytes.fromhex(SECRET), count) for count in (4, 9))
    assert many.items() >= few.items() and list(many) == sorted(many)
    assert list(many)[:4] != list(few)  # the order of names is not that of drawing


def test_a_new_secret_has_128_bits_that_its_owner_alone_reads_and_is_never_overwritten(
    command, tmp_path
):
    drawn = []
    for name in ("one", "two"):
        secret, out = tmp_path / f"{name}.secret", tmp_path / name
        done = command("make", "--secret", secret, "--out", out, *OPTIONS)
        assert done.exit_code == 0 and "hand out this folder" in done.stdout
        assert secret.read_text().strip() not in done.output
        drawn.append(read_secret(secret))
        for file in (secret, truth_file(secret)):
            assert os.name != "posix" or stat.S_IMODE(file.stat().st_mode) == 0o600
        kept = contents(tmp_path)
        refused = command("make", "--secret", secret, "--out", out, *OPTIONS)
        assert refused.exit_code == 2 and "--overwrite" in refused.stderr
        done = command("make", "--secret", secret, "--out", out, "--overwrite", *OPTIONS)
        assert done.exit_code == 0 and contents(tmp_path) == kept
    assert len(set(drawn)) == 2 and all(len(secret) == 16 for secret in drawn)


def test_a_secret_that_another_process_writes_meanwhile_is_kept(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    monkeypatch.setattr(type(file), "exists", lambda path: False)
    with pytest.raises(FileExistsError):
        find_or_draw_secret(file)
    assert file.read_text() == SECRET


def test_no_file_that_is_handed_out_tells_the_secret_or_a_score(challenge, truth):
    folder, _ = challenge
    raw = bytes.fromhex(SECRET)
    telling = [SECRET.encode(), SECRET.upper().encode(), raw, raw[::-1], base64.b64encode(raw)]
    telling += [str(int.from_bytes(raw, order)).encode() for order in ("big", "little")]
    telling += [f"{score:.2f}".encode() for score in truth.values()]
    telling += [f"{score:g}".encode() for score in truth.values() if len(f"{score:g}") > 4]
    words = [b"judge", b"seed", b"fault", b"skill"]
    found = contents(folder)
    assert len(found) == 11 and set(found) > {"README.md", "dives.csv"}
    for name, content in found.items():
        assert not [text for text in telling if text in content or text in name.encode()], name
        assert not [word for word in words if word in content.lower()], name
        assert name == "README.md" or b"score" not in content.lower()
    assert found["dives.csv"].splitlines()[0] == b"id,group,difficulty"


def test_names_order_times_and_headers_of_the_videos_tell_nothing(challenge):
    folder, _ = challenge
    table, _ = read_dives(folder)
    names = sorted(path.stem for path in (folder / "videos").iterdir())
    assert names == list(table["id"]) and table["id"].str.fullmatch("dive-[0-9a-f]{12}").all()
    assert len({path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}) == 1
    headers = set()
    for name in names:
        with av.open(str(video_file(folder, name))) as container:
            stream = container.streams.video[0]
            said = [*container.metadata.items(), *stream.metadata.items()]
            headers.add(repr((said, stream.frames, container.duration, stream.average_rate)))
            assert "creation_time" not in dict(said)
    assert len(headers) == 1


def test_trying_seeds_finds_no_dive():
    drawn = draw_dives(bytes.fromhex(SECRET), 9)
    seen = {dive.appearance for dive in drawn.values()}

    def finds(seeds, wanted):
        for seed in seeds:
            if {draw_dive(seed).appearance, *public(seed)} & wanted:
                return True
        return False

    def public(seed):
        return (draw_dive(np.random.default_rng([seed, k])).appearance for k in range(2))

    planted = draw_dive(np.random.default_rng([990, 1])).appearance
    assert finds(range(980, 1001), {planted}) and not finds(range(1001), seen)
    for seed in range(1001):  # nor is a small number the secret
        assert not set(draw_dives(seed.to_bytes(16, "big"), 1)) & set(drawn)


def test_the_secret_does_not_lie_where_it_is_handed_out(command, tmp_path):
    out = tmp_path / "out"
    done = command("make", "--secret", out / "secret", "--out", out, *OPTIONS)
    assert done.exit_code == 2 and "handed out" in done.stderr and not out.exists()


@pytest.mark.parametrize("text", ["1234", "", SECRET + "0", SECRET.replace("0", "g"), "\xff" * 32])
def test_what_is_no_secret_is_refused_and_not_repeated(command, tmp_path, text):
    file = tmp_path / "secret"
    file.write_bytes(text.encode("latin-1"))
    done = command("make", "--secret", file, "--out", tmp_path / "out", *OPTIONS)
    assert done.exit_code == 2 and done.stderr.startswith(f"error: {file}: this is no challenge's")
    assert len(done.stderr.splitlines()) == 1 and not (text and text in done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_secret_that_others_may_read_is_said(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    with pytest.warns(UserWarning, match="chmod 600"):
        read_secret(file)


def test_the_true_scores_are_those_of_the_dives_and_sealed(challenge, truth, command, tmp_path):
    folder, _ = challenge
    drawn = draw_dives(bytes.fromhex(SECRET), 9)
    assert truth == {name: dive.score for name, dive in drawn.items()}
    (copy, secret), hand_in = make(tmp_path / "copy"), tmp_path / "anna.csv"
    write(hand_in, drawn)
    rank = ("rank", copy, hand_in, "--secret", secret, "--out", tmp_path / "page.html")
    assert command(*rank).exit_code == 0

    def refused(said):
        done = command(*rank)
        assert done.exit_code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1

    sealed = truth_file(secret).read_text()
    first = next(iter(truth))
    truth_file(secret).write_text(sealed.replace(str(truth[first]), "1.0"))
    refused("not as it was sealed")
    for text in ("", "[]", "{}", '{"seal": 3}', sealed[:200]):
        truth_file(secret).write_text(text)
        refused("not as it was sealed")
    truth_file(secret).unlink()
    refused("the true scores are gone")
    make(tmp_path / "copy", "once-more")
    assert truth_file(secret).read_text() == sealed and command(*rank).exit_code == 0
    (copy / "dives.csv").write_text((copy / "dives.csv").read_text().replace(",3.", ",2."))
    refused("another challenge's")


def test_a_secret_is_for_one_challenge(challenge, tmp_path):
    _, secret = make(tmp_path / "first")
    before = contents(tmp_path)
    with pytest.raises(ChallengeError, match="the scores of other dives"):
        make(tmp_path / "first", "second", dives=8)
    assert contents(tmp_path) == before
    other, _ = make(tmp_path / "other", secret=SECRET[::-1])
    with pytest.raises(ChallengeError, match="another challenge's"):
        read_truth(secret, read_secret(secret), (other / "dives.csv").read_bytes())


# Hand-ins


def write(path, dives, **columns):
    """A hand-in of these ids: scores of 50, 51, ... and intervals around them, unless given."""
    ids = list(dives)
    score = 50.0 + np.arange(len(ids))
    table = {"id": ids, "score": score, "low": score - 5, "high": score + 5} | columns
    pd.DataFrame(table).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["difficulty", "number"])
def test_a_run_scores_every_dive_as_the_command_score_does(
    script, command, challenge, runs, tmp_path, name
):
    folder, out = tmp_path / "challenge", tmp_path / "anna.csv"
    shutil.copytree(challenge[0], folder)
    dives, _ = read_dives(folder)
    dives["group"] = np.resize(["103B", "407C", "5253B"], 9)  # those that the runs know
    dives.to_csv(folder / "dives.csv", index=False)
    done = command("hand-in", runs[name], "--challenge", folder, "--out", out)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out)
    assert list(table) == ["id", "score", "low", "high"] and list(table["id"]) == list(dives["id"])
    dive, row = dives.iloc[4], table.iloc[4]
    shown = {"difficulty": dive["difficulty"], "group": dive["group"] if name == "number" else None}
    scored = score_video(Run.load(runs[name]), video_file(folder, dive["id"]), **shown)
    assert row["score"] == pytest.approx(scored["score"])
    assert (row["low"], row["high"]) == pytest.approx(tuple(scored["interval_90"]))
    assert row["high"] - row["low"] <= 36
    assert read_hand_in(out, dives["id"]).name == "anna"


def test_a_run_that_held_nothing_back_hands_in_all_of_the_scale(script, challenge, runs):
    found = script.predict(runs["none"], challenge[0])
    assert set(found["low"]) == {0.0} and found["high"].nunique() == 1


@pytest.mark.parametrize(
    "text", [None, "", "id\n", "id,group,difficulty\n", "id,group,difficulty\n../../x,103B,3\n"]
)
def test_a_folder_that_is_no_challenge_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "dives.csv").write_text(text)
    with pytest.raises(ChallengeError, match="dives.csv") as error:
        read_dives(tmp_path)
    assert len(str(error.value).splitlines()) == 1


DAMAGES = {
    "an id of another challenge": (lambda t: t.replace({"a": "x"}), r"unknown ids: 1 \(x\); miss"),
    "a row too few": (lambda t: t[1:], r"missing ids: 1 \(a\)"),
    "no row": (lambda t: t[:0], r"missing ids: 5 \(a, b, c and 2 more\)"),
    "a row twice": (lambda t: pd.concat([t, t[2:3]]), r"ids there more than once: 1 \(c\)"),
    "nan": (lambda t: t.assign(score=[np.nan, 1, 2, 3, 4]), r"below a million: 1 \(a\)"),
    "infinity": (lambda t: t.assign(high=[np.inf] * 5), r"below a million: 5 \(a, b, c and 2"),
    "enormous": (lambda t: t.assign(low=[-1e300, *t["low"][1:]]), r"below a million: 1 \(a\)"),
    "words": (lambda t: t.assign(score=list("12x45")), r"below a million: 1 \(c\)"),
    "decimal commas": (lambda t: t.assign(score="61,5"), r"below a million: 5"),
    "an empty field": (lambda t: t.assign(low=["", *t["low"][1:]]), r"below a million: 1 \(a\)"),
    "low above high": (lambda t: t.assign(low=t["high"] + 1), r"low above high: 5"),
    "one score for all": (lambda t: t.assign(score=50), "every score is the same"),
    "no interval": (lambda t: t[["id", "score"]], "no column low, high; its first line must be"),
    "semicolons": (lambda t: t.to_csv(sep=";", index=False), "no column id, score, low, high"),
    "a value too many": (
        lambda t: t.to_csv(index=False).replace("\n", ",1\n").replace("high,1", "high"),
        "a row has more values than the first line",
    ),
    "nothing": (lambda t: "", "not a CSV table"),
    "no text": (lambda t: b"PK\x03\x04\xff\xfe\x00", "not a CSV table"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_hand_in_that_cannot_be_ranked_is_refused_in_one_line(tmp_path, damage):
    path = write(tmp_path / "anna.csv", "abcde")
    broken, said = DAMAGES[damage]
    found = broken(pd.read_csv(path))
    if isinstance(found, pd.DataFrame):
        found.to_csv(path, index=False)
    else:
        path.write_bytes(found.encode() if isinstance(found, str) else found)
    with pytest.raises(ChallengeError, match=said) as error:
        read_hand_in(path, list("abcde"))
    assert str(error.value).startswith(f"{path}: ") and len(str(error.value).splitlines()) == 1


def test_a_hand_in_is_read_whatever_its_order_further_columns_and_byte_order_mark(tmp_path):
    path = write(tmp_path / "anna.csv", "abcde", note=list("vwxyz"))
    table = pd.read_csv(path)[::-1][["high", "note", "id", "low", "score"]]
    table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")
    found = read_hand_in(path, list("abcde"))
    np.testing.assert_array_equal(found.score, [50, 51, 52, 53, 54])
    np.testing.assert_array_equal(found.high - found.low, [10] * 5)


# The ranking


@pytest.fixture(scope="module")
def true():
    return np.round(np.random.default_rng(5).uniform(20, 100, 40), 2)


def hand_in(name, score, half=5.0):
    return HandIn(name, score, score - half, score + half)


def test_a_perfect_a_noisy_a_tied_and_a_reversed_hand_in(true):
    noisy = true + np.random.default_rng(6).normal(0, 15, 40)
    # tied: another scale, the same order
    given = {"reversed": -true, "noisy": noisy, "tied": noisy / 2 + 9, "perfect": true}
    places = rank_hand_ins([hand_in(*each) for each in given.items()], true)
    assert [(place.rank, place.name) for place in places] == [
        (1, "perfect"),
        (2, "noisy"),
        (2, "tied"),
        (4, "reversed"),
    ]
    perfect, noisy_place, tied, last = places
    assert (perfect.rho, perfect.rl2_x100, perfect.coverage, perfect.width) == (1, 0, 1, 10)
    assert perfect.ranks == (1, 1) and perfect.ahead_of == ("noisy", "reversed", "tied")
    assert noisy_place.ranks == tied.ranks == (2, 2)
    assert noisy_place.ahead_of == tied.ahead_of == ("reversed",)
    assert last.rho == -1 and last.ranks == (4, 4) and last.ahead_of == ()
    assert noisy_place.rho == pytest.approx(spearmanr(noisy, true).statistic)
    assert noisy_place.coverage == np.mean(np.abs(noisy - true) <= 5)
    error = np.mean(((noisy - true) / (true.max() - true.min())) ** 2)
    assert noisy_place.rl2_x100 == pytest.approx(100 * error)


def test_spans_of_ranks_and_who_is_ahead_agree_with_a_loop(true):
    rng = np.random.default_rng(7)
    spreads = {"a": 14, "b": 16, "c": 30, "d": 18}
    scores = {name: true + rng.normal(0, spread, 40) for name, spread in spreads.items()}
    places = rank_hand_ins([hand_in(*each) for each in scores.items()], true, resamples=200, seed=3)
    draws = np.random.default_rng(3).integers(40, size=(200, 40))
    rhos = [[spearmanr(s[rows], true[rows]).statistic for s in scores.values()] for rows in draws]
    rhos = np.round(rhos, 12)
    ranks = np.array([rankdata(-row, method="min") for row in rhos])
    for place in places:
        own = "abcd".index(place.name)
        middle = np.sort(ranks[:, own])[[4, 194]]  # the 5th and the 195th of 200
        assert place.ranks == tuple(middle)
        beaten = [name for k, name in enumerate("abcd") if (rhos[:, own] > rhos[:, k]).sum() >= 190]
        assert place.ahead_of == tuple(beaten)
    assert {place.ahead_of for place in places} != {()}


def test_a_small_lead_on_few_dives_is_not_called_clear(true):
    rng = np.random.default_rng(8)
    one, other = (true + rng.normal(0, 15, 40) for _ in range(2))
    first, second = rank_hand_ins([hand_in("one", one), hand_in("other", other)], true)
    assert (first.rank, second.rank) == (1, 2) and first.rho > second.rho
    assert first.ranks == second.ranks == (1, 2) and first.ahead_of == second.ahead_of == ()


def test_a_ranking_is_the_same_again_and_whatever_the_order_of_the_files(true):
    rng = np.random.default_rng(9)
    given = [hand_in(name, true + rng.normal(0, 15, 40)) for name in "abcd"]
    assert rank_hand_ins(given, true) == rank_hand_ins(given[::-1], true)


def test_a_draw_that_leaves_a_hand_in_without_order_counts_as_no_agreement():
    """In a third of the draws the sixth dive is missing, and with it all that `flat` tells."""
    true = np.arange(6.0)
    flat = hand_in("flat", np.array([0.0, 0, 0, 0, 0, 1]))
    first, second = rank_hand_ins([flat, hand_in("good", true)], true)
    assert (first.name, first.ahead_of, second.ranks) == ("good", ("flat",), (2, 2))


def test_an_interval_that_ends_at_the_true_score_holds_it(true):
    for low, high, coverage in ((true, true, 1), (true - 1, true, 1), (true + 1, true + 2, 0)):
        assert rank_hand_ins([HandIn("a", true, low, high)], true)[0].coverage == coverage


def test_two_dives_can_be_ranked():
    places = rank_hand_ins([hand_in("a", np.array([1.0, 2.0]))], np.array([3.0, 4.0]))
    assert places[0].rho == 1 and places[0].ranks == (1, 1)


def test_the_command_ranks_the_rest_and_names_what_it_refuses(command, challenge, truth, tmp_path):
    folder, secret = challenge
    good = np.array([truth[name] for name in sorted(truth)])
    ending = ("--secret", secret, "--out", tmp_path / "page.html")

    def rank(*files):
        return command("rank", folder, *files, *ending)

    best = write(tmp_path / "<b>anna.csv", sorted(truth), score=good)
    worst = write(tmp_path / "ben.csv", sorted(truth), score=-good)
    short, gone = write(tmp_path / "cem.csv", sorted(truth)[1:]), tmp_path / "dora.csv"
    done = rank(worst, short, best, gone)
    assert done.exit_code == 0
    said = done.stderr.splitlines()
    assert len(said) == 2 and all(line.startswith("not ranked: ") for line in said)
    assert str(short) in said[0] and "missing ids: 1" in said[0] and str(gone) in said[1]
    head, first, second, _, how, *_ = done.stdout.splitlines()
    assert [part in head for part in HEADS] == [True] * len(HEADS)
    assert first.split()[:2] == ["1", best.stem] and second.split()[:2] == ["2", "ben"]
    assert "1.000" in first and "-1.000" in second and "drawn anew 2,000 times" in how
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;anna" in page and "cem.csv: missing ids" in page
    none = rank(short, gone)
    assert none.exit_code == 2 and none.stderr.splitlines()[-1].startswith("error: no hand-in")
    (tmp_path / "other").mkdir()
    double = rank(worst, write(tmp_path / "other" / "ben.csv", sorted(truth)))
    assert double.exit_code == 2 and "one name for several hand-ins" in double.stderr


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_needs_nothing_else_can_be_read_aloud_and_runs_no_name(true):
    name = "<script>alert('1')</script>\"&amp; {how}"
    places = rank_hand_ins([hand_in(name, true), hand_in("ben", -true)], true)
    text = ranking_page(places, [f"{name}.csv: <img src=x onerror=alert(1)>"], 40)
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("title")) == 1
    assert "width=device-width" in page.all("meta")[1]["content"]
    assert len(page.all("caption")) == len(page.all("h1")) == len(page.all("main")) == 1
    scopes = [each["scope"] for each in page.all("th")]
    assert scopes == ["col"] * len(HEADS) + ["row"] * 2
    assert not [tag for tag in ("script", "img", "link", "iframe") if page.all(tag)]
    assert not [a for _, found in page.elements for a in found if a in ("src", "href", "onerror")]
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert page.text.count(name) == 2  # its row, and what was refused
    assert "40 hidden dives" in page.text and "drawn anew 2,000 times from these 40" in page.text
