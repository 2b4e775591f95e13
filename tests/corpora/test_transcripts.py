"""Transcripts in every format, with their times."""

import re

import pytest

from lip2wav_hf.corpora.transcripts import TranscriptError, read_transcript


VTT = """WEBVTT

NOTE a comment

1
00:01.000 --> 00:02.500 align:start
<v Ann>Hello &amp; welcome</v>

01:00:03.250 --> 01:00:04.000
to the
show
"""

SRT = "1\r\n00:00:01,000 --> 00:00:02,500\r\n{\\an8}<i>Hello</i>\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nbye\r\n"


def two_tiers(*names: str) -> str:
    """A TextGrid in the short form: a tier that says `first`, and one that says `second`."""
    grid = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n2\n'
    for name, text in zip(names, ("first", "second"), strict=True):
        grid += f'"IntervalTier"\n"{name}"\n0\n1\n1\n0\n1\n"{text}"\n'
    return grid


LONG_GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "h"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sil"
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "say ""hi"""
        intervals [3]:
            xmin = 1.25
            xmax = 2.5
            text = "3"
'''

SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
1
"IntervalTier"
"anything"
0
2
2
0
1
"hello"
1
2
""
"""

LRS = (
    "Text:  HELLO THE WORLD\nConf:  4\n\n"
    "WORD START END ASDSCORE\nHELLO 0.10 0.50 6.0\nTHE 0.50 0.60 5\nWORLD 0.7 1 4\n"
)


def read(tmp_path, name, text, encoding="utf-8"):
    (tmp_path / name).write_text(text, encoding=encoding, newline="")
    return read_transcript(tmp_path / name)


def test_plain_text_of_any_script(tmp_path):
    assert read(tmp_path, "a.txt", "\ufeffGrüße,\n  Welt! ").text == "Grüße, Welt!"
    assert read(tmp_path, "b.txt", "שלום עולם", "utf-16").text == "שלום עולם"


def test_lrs(tmp_path):
    transcript = read(tmp_path, "a.txt", LRS)
    assert transcript.text == "HELLO THE WORLD"
    assert [(cue.start, cue.end, cue.text) for cue in transcript.words] == [
        (0.1, 0.5, "HELLO"),
        (0.5, 0.6, "THE"),
        (0.7, 1.0, "WORLD"),
    ]
    assert read(tmp_path, "b.txt", "Text: no times here\nConf: 1\n").words == ()


def test_subtitles(tmp_path):
    cues = read(tmp_path, "a.vtt", VTT).cues
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [
        (1.0, 2.5, "Hello & welcome"),
        (3603.25, 3604.0, "to the show"),
    ]
    transcript = read(tmp_path, "a.srt", SRT)
    assert [(cue.start, cue.end, cue.text) for cue in transcript.cues] == [(1.0, 2.5, "Hello"), (3.0, 4.0, "bye")]
    assert transcript.text == "Hello bye"


@pytest.mark.parametrize(
    "times",
    [
        "00:00:01,000 -> 00:00:02,000",
        "00:00:01,000 – > 00:00:02,000",
        "00:00:01,000 —> 00:00:02,000",
        "00:00:01,000 → 00:00:02,000",
        "00:00:01.000,00:00:02.000",
        "00:00:01,000 - 00:00:02,000",
        "0:5 -> 7",
    ],
)
def test_a_subtitle_with_another_arrow_is_told_of(tmp_path, times):
    fault = f"the times {times!r} are not written as 00:00:01.000 --> 00:00:02.500"
    transcript = read(tmp_path, "a.srt", f"{SRT}\r\n3\r\n{times}\r\nlost\r\n")
    assert transcript.text == "Hello bye" and transcript.faults == (fault,)
    with pytest.raises(TranscriptError, match=f"it is no .srt transcript \\({re.escape(fault)}\\)"):
        read(tmp_path, "b.srt", f"1\n{times}\nlost\n")


def test_a_subtitle_with_another_arrow_and_no_empty_line_before_is_told_of(tmp_path):
    transcript = read(tmp_path, "a.srt", f"{SRT}00:00:05,000 -> 00:00:06,000\nlost\n")
    assert transcript.text == "Hello"
    assert transcript.faults == ("there is no empty line between the cue of 00:00:03,000 and the next one",)


@pytest.mark.parametrize(
    "block",
    [
        "WEBVTT - from 10:00 - 12:00",
        "NOTE\n00:01.000 -> 00:02.000 was cut",
        "STYLE\n::cue { color: red }",
        "REGION\nid:a width:40%",
        "12",
        "we meet at 10:30 or 11:30",
        "3 > 2",
        "00:01.000 --> 00:02.000\nfrom 5 -> 7, or 10:00 - 12:00, in 1:05.3, 1:07.9",
    ],
)
def test_what_is_no_subtitle_is_not_told_of(tmp_path, block):
    assert read(tmp_path, "a.vtt", f"WEBVTT\n\n{block}\n\n00:05.000 --> 00:06.000\nhello\n").faults == ()


def test_textgrid(tmp_path):
    words = read(tmp_path, "a.TextGrid", LONG_GRID).words
    assert [(cue.start, cue.end, cue.text) for cue in words] == [(0.5, 1.25, 'say "hi"'), (1.25, 2.5, "3")]
    words = read(tmp_path, "b.TextGrid", SHORT_GRID, "utf-16").words
    assert [(cue.start, cue.end, cue.text) for cue in words] == [(0.0, 1.0, "hello")]


@pytest.mark.parametrize(
    ("tiers", "spoken"),
    [
        (("phones", "text"), "second"),
        (("s1 - phones", "s1 - words"), "second"),
        (("text", "phones"), "first"),
        (("Notes", "Word"), "second"),
    ],
)
def test_a_tier_of_sounds_is_no_tier_of_words(tmp_path, tiers, spoken):
    assert read(tmp_path, "a.TextGrid", two_tiers(*tiers)).text == spoken


def test_who_says_nothing_has_no_words(tmp_path):
    grid = two_tiers("ann - words", "ben - words").replace('"first"', '"sil"')
    assert read(tmp_path, "a.TextGrid", grid).text == "second"


def test_align(tmp_path):
    transcript = read(tmp_path, "a.align", "0 5000 sil\n5000 10000 bin\n10000 20000 blue\n20000 30000 sp\n")
    assert transcript.text == "bin blue"
    assert [(cue.start, cue.end) for cue in transcript.words] == [(0.2, 0.4), (0.4, 0.8)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.vtt", "WEBVTT\n\nnothing", "no cue with a time"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nx\n", "not after its beginning"),
        ("a.TextGrid", "no grid", "no tier of intervals"),
        ("a.TextGrid", LONG_GRID[:-60], "breaks off after 2 of 3"),
        ("a.TextGrid", LONG_GRID.replace('"words"', '"MAU"'), "its tier 'phones' has sounds; name the one of words"),
        ("a.align", "0 5000\n", "line 1 is '0 5000', not START END WORD"),
        ("a.align", "0 5000 bin\n\n5000 1.5 blue\n", "line 3 is '5000 1.5 blue', not START END WORD"),
        ("a.txt", "Text: A\nWORD START END\nA 0.1\n", "line 3 is 'A 0.1', not WORD START END"),
        (
            "a.TextGrid",
            two_tiers("ann - words", "ben - words"),
            "tiers 'ann - words' and 'ben - words' have words; keep",
        ),
        (
            "a.TextGrid",
            two_tiers("words", "words"),
            "the tiers 'words' and 'words' have words; keep that of the person",
        ),
        ("a.TextGrid", '"IntervalTier"\n"a"\n0\n1', "the tier 'a' does not say how many intervals it has"),
        ("a.TextGrid", '"IntervalTier"\n"a"\n0\n1\n-3\n0\n1\n"b"', "the tier 'a' does not say how many intervals"),
        ("a.TextGrid", '"IntervalTier"\n"a"\n0\n1\n1\n0\n"x"\n"b"', "the interval 1 of the tier 'a' is not a start"),
        ("a.doc", "x", "not read. There are"),
    ],
)
def test_a_faulty_file_says_what_is_wrong(tmp_path, name, text, message):
    with pytest.raises(TranscriptError, match=message):
        read(tmp_path, name, text)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\x80\x81\x82")
    with pytest.raises(TranscriptError, match="not UTF-8"):
        read_transcript(tmp_path / "a.txt")
    with pytest.raises(TranscriptError, match="cannot be read"):
        read_transcript(tmp_path / "missing.txt")
