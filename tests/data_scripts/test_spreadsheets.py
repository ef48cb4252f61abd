"""CSV files as spreadsheet programs write them: the right text and numbers, or one error that says
what is ambiguous."""

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corelib.data.samples import DatasetError
from data_scripts.readers.spreadsheets import decimal_mark, read_sheet, to_number

ROWS = [
    ["video", "score", "note"],
    ["a.mp4", "7.5", "plain"],
    ["b c.mp4", "8", 'with , and ; and "'],
]


@pytest.fixture
def sheet(tmp_path):
    def write(content, encoding="utf-8"):
        path = tmp_path / "scores.csv"
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    return write


def numbers(path, column="score"):
    cells, separator, _ = read_sheet(path)
    mark, _ = decimal_mark(cells[[column]], separator, path)
    return [to_number(cell, mark) for cell in cells[column].dropna()]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("delimiter", "words"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")]
)
def test_separators_and_quotes(sheet, delimiter, words, newline):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows(ROWS)
    cells, separator, how = read_sheet(sheet(text.getvalue()))
    assert separator == delimiter and how == f"UTF-8, {words} between the fields"
    assert cells.to_numpy().tolist() == ROWS[1:] and cells.index.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8-sig", "UTF-8 with a byte-order mark"),
        ("utf-16", "UTF-16"),
        ("cp1252", "Windows-1252 (it is no UTF-8)"),
        ("utf-8", "UTF-8"),
    ],
)
def test_encodings(sheet, encoding, words):
    cells, _, how = read_sheet(sheet("vidéo;score\nMüller.mp4;7,5\n", encoding))
    assert cells.columns.tolist() == ["vidéo", "score"] and cells["vidéo"].tolist() == [
        "Müller.mp4"
    ]
    assert how == f"{words}, semicolons between the fields"


def test_the_line_of_excel_that_names_the_separator(sheet):
    cells, separator, _ = read_sheet(sheet("sep=;\r\nvideo, say;score\r\na;7,5\r\n"))
    assert (
        separator == ";"
        and cells.columns.tolist() == ["video, say", "score"]
        and cells.index.tolist() == [3]
    )


def test_empty_cells_lines_and_nameless_columns(sheet):
    cells, _, _ = read_sheet(
        sheet(",video,score,,\n0,a,NaN,,x\n,,,,\n\n1,b, n/a ,,\n2,None,7.5,,\n")
    )
    assert cells.columns.tolist() == ["column_1", "video", "score", "column_5"]
    assert cells.to_numpy().tolist() == [
        ["0", "a", None, "x"],
        ["1", "b", None, None],
        ["2", None, "7.5", None],
    ]
    assert cells.index.tolist() == [2, 5, 6]


def test_line_numbers_are_the_files_where_a_field_holds_line_breaks(sheet):
    cells, _, _ = read_sheet(sheet('video,note\na,"two\nlines"\nb,one\n'))
    assert cells.index.tolist() == [2, 4] and cells.loc[2, "note"] == "two\nlines"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("video,score\na,7.5\nb,8\nc,-1e1\n", [7.5, 8, -10]),
        ("video;score\na;7,5\nb;8\nc;,25\n", [7.5, 8, 0.25]),
        ("video;score\na;7.5\nb;14.233\n", [7.5, 14.233]),
        ("video\tscore\na\t7,5\nb\t66,60\n", [7.5, 66.6]),
        ('video,score\na,"7,5"\nb,"1,234"\n', [7.5, 1.234]),  # 7,5 shows what 1,234 means
        ('video,score\na,"0,750"\n', [0.75]),
        ("video;score\na;1,234\n", [1.234]),  # semicolons leave the comma to the decimals
        ("video,score\na,1.234\n", [1.234]),
    ],
)
def test_decimal_points_and_commas(sheet, content, expected):
    assert numbers(sheet(content)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'video,score\na,"1,234"\nb,80\n',
            r"'1,234' \(line 2, score\) may be a decimal or a thousands separator",
        ),
        (
            "video;score\na;7.5\nb;8,5\n",
            (
                r"decimal points, as '7.5' \(line 2, score\), and some commas, as '8,5' \(line 3,"
                r" score\)"
            ),
        ),
        ("video,score\na,7,5\nb,8\n", r"line 2: 3 fields, the header has 2"),
        (
            "video,score\na\nb,8,1\n",
            r"2 problem\(s\)(.|\n)*line 2: 1 fields(.|\n)*line 3: 3 fields",
        ),
        (
            "a.mp4,7.5\nb.mp4,8\n",
            r"line 1: the first line must name the columns, but it holds the number 7.5",
        ),
        ("video,score,score\na,1,2\n", "two columns are called 'score'"),
        ("video;score,mark\na;7,5\n", "may lie between commas or semicolons"),
        ('video,score\n"a,1\n', "is a double quote missing"),
        ("video\na\n", "one field only"),
        ("video,score\n", "no row below"),
        ("", "the file is empty"),
        (b"PK\x03\x04 a workbook", "no text file"),
        (b"\x00\x01\x02,\x00\n", "no text file"),
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_refused(sheet, content, message):
    with pytest.raises(DatasetError, match=message):
        numbers(sheet(content))


@pytest.mark.parametrize(
    "cell", ["1.234,5", "1,234.5", "1 234", "1_000", "7,5 P", "½", "٣", "inf", "1.2.3", ""]
)
def test_what_is_no_number_is_none_under_either_mark(cell):
    assert all(pd.isna(to_number(cell, mark)) for mark in ".,")


@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8),
    separator=st.sampled_from(",;\t"),
)
def test_numbers_come_back_whatever_the_spreadsheets_language(tmp_path_factory, values, separator):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    mark = "." if separator == "," else ","
    written = [f"{value:.17g}".replace(".", mark) for value in values]
    path.write_text(
        "\n".join([f"video{separator}score", *(f"a{separator}{text}" for text in written)]) + "\n"
    )
    assert numbers(path) == [float(f"{value:.17g}") for value in values]
