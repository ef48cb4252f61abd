"""The rules of diving: dive numbers, panels, the words of the marks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_scripts.dives.rules import (
    DIFFICULTY,
    DiveNumber,
    execution_score,
    mark_in_words,
    panel_score,
    parse_dive_number,
)

HALF_POINTS = st.integers(0, 20).map(lambda twice: twice / 2)


def test_seven_judges_by_hand():
    # 6 and 6.5 and the two 8.5 are dropped; 7.5 + 7.5 + 8 = 23; times 3.2 is 73.6.
    marks = [7.5, 8.5, 6.0, 8.0, 7.5, 8.5, 6.5]
    assert execution_score(marks) == 23.0
    assert panel_score(marks, 3.2) == 73.6


def test_five_and_three_judges_by_hand():
    assert panel_score([5, 9, 6, 7, 6.5], 2.0) == 39.0  # 6 + 6.5 + 7 = 19.5
    assert panel_score([5, 9, 6], 2.0) == 40.0


def test_a_score_has_two_decimals():
    assert panel_score([4.5] * 7, 3.3) == 44.55  # 13.5 x 3.3 is 44.55 only up to the last bit


@given(
    st.lists(HALF_POINTS, min_size=7, max_size=7), st.sampled_from(sorted(set(DIFFICULTY.values())))
)
def test_a_panel_is_the_median_and_its_neighbours(marks, difficulty):
    middle = sorted(marks)[2] + sorted(marks)[3] + sorted(marks)[4]
    assert panel_score(marks, difficulty) == pytest.approx(middle * difficulty, abs=0.0051)
    assert panel_score(marks[::-1], difficulty) == panel_score(marks, difficulty)


@given(st.lists(HALF_POINTS, min_size=7, max_size=7))
def test_two_judges_alone_cannot_leave_the_others_range(marks):
    """Whatever two judges give, the score stays within three times what the other five span."""
    for extreme in itertools.product((0.0, 10.0), repeat=2):
        score = execution_score([*extreme, *marks[2:]])
        assert 3 * min(marks[2:]) <= score <= 3 * max(marks[2:])


@pytest.mark.parametrize(
    ("marks", "difficulty", "said"),
    [
        ([8, 8], 3.0, "3, 5 or 7 judges, not 2"),
        ([11] * 7, 3.0, "0 to 10"),
        ([float("nan")] * 7, 3.0, "0 to 10"),
        ([8] * 7, 0.0, "positive"),
        ([8] * 7, float("nan"), "positive"),
    ],
)
def test_wrong_panels_are_refused(marks, difficulty, said):
    with pytest.raises(ValueError, match=said):
        panel_score(marks, difficulty)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("107B", DiveNumber(1, 1, False, 7, 0, "B")),
        ("205b", DiveNumber(2, 2, False, 5, 0, "B")),
        (" 307C ", DiveNumber(3, 3, False, 7, 0, "C")),
        ("113B", DiveNumber(1, 1, True, 3, 0, "B")),
        ("5253B", DiveNumber(5, 2, False, 5, 3, "B")),
        ("5132D", DiveNumber(5, 1, False, 3, 2, "D")),
        ("626c", DiveNumber(6, 2, False, 6, 0, "C")),
        ("6243D", DiveNumber(6, 2, False, 4, 3, "D")),
    ],
)
def test_numbers_read(text, number):
    assert parse_dive_number(text) == number


@pytest.mark.parametrize("text", [*DIFFICULTY, "113B", "612B", "6245D", "5337D"])
def test_a_number_is_written_as_it_was_read(text):
    assert str(parse_dive_number(text)) == text
    assert str(parse_dive_number(text.lower())) == text


def test_a_number_in_words():
    assert parse_dive_number("107B").in_words() == "107B: forward, 3 1/2 somersaults, pike"
    assert (
        parse_dive_number("5253B").in_words()
        == "5253B: twisting, back, 2 1/2 somersaults, 1 1/2 twists, pike"
    )
    assert parse_dive_number("101A").in_words() == "101A: forward, 1/2 somersault, straight"
    assert (
        parse_dive_number("5132D").in_words()
        == "5132D: twisting, forward, 1 1/2 somersaults, 1 twist, free"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "3 or 4 digits"),
        ("107", "a letter A to D"),
        ("107E", "a letter A to D"),
        ("707B", "first from 1 to 6"),
        ("127B", "flying 0 or 1"),
        ("1071B", "half somersaults, letter"),
        ("525B", "half twists from 1"),
        ("5250B", "half twists from 1"),
        ("5551B", "direction 1 to 4"),
        ("642B", "direction 1 to 3"),
        ("100B", "must be 1 or more"),
        ("300D", "must be 1 or more"),
        ("1٠7B", "not a dive number"),
    ],
)
def test_what_is_no_number_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse_dive_number(text)


def test_difficulty_table():
    assert len(DIFFICULTY) == 30
    assert (DIFFICULTY["107B"], DIFFICULTY["409C"], DIFFICULTY["103B"], DIFFICULTY["5253B"]) == (
        3.0,
        4.1,
        1.6,
        3.2,
    )
    # Half turns more never make the same dive easier.
    harder = [
        ("103B", "105B"),
        ("105B", "107B"),
        ("107C", "109C"),
        ("205C", "207C"),
        ("5152B", "5154B"),
    ]
    assert all(DIFFICULTY[one] < DIFFICULTY[other] for one, other in harder)


@pytest.mark.parametrize(
    ("mark", "word"),
    [
        (10, "excellent"),
        (9.5, "very good"),
        (8.5, "very good"),
        (8, "good"),
        (7, "good"),
        (6.5, "satisfactory"),
        (5, "satisfactory"),
        (4.5, "deficient"),
        (2.5, "deficient"),
        (2, "very deficient"),
        (0.5, "very deficient"),
        (0, "failed"),
    ],
)
def test_words_of_the_marks(mark, word):
    assert mark_in_words(mark) == word


@pytest.mark.parametrize("mark", [-0.5, 10.5, float("nan")])
def test_marks_off_the_scale_have_no_word(mark):
    with pytest.raises(ValueError, match="0 to 10"):
        mark_in_words(mark)
