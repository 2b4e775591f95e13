"""Grammars: JSGF, phrases and slots, as automata."""

import pytest

from lip2wav_hf.grammar import GRAMMAR, VOCABULARY, Grammar, GrammarError


def test_grid_has_its_sentences_and_words():
    grammar = Grammar.from_slots(GRAMMAR)
    assert grammar.count() == 4 * 4 * 4 * 25 * 10 * 4
    assert sorted(grammar.words) == sorted(VOCABULARY) and len(grammar.edges) == 51
    assert grammar.accepts("bin blue at f two now")
    assert not grammar.accepts("bin blue at f two") and not grammar.accepts("bin blue at f two now now")


def test_phrases_are_exactly_those():
    grammar = Grammar.of(["yes please", "yes", "  no   thanks ", ""])
    assert grammar.count() == 3
    assert [grammar.accepts(text) for text in ("yes", "yes please", "no thanks")] == [True] * 3
    assert [grammar.accepts(text) for text in ("", "no", "please", "yes please yes", "maybe")] == [False] * 5


@pytest.mark.parametrize(
    ("body", "accepted", "refused"),
    [
        ("public <s> = a (b | c) d;", ["a b d", "a c d"], ["a d", "a b c d"]),
        ("public <s> = [please] go;", ["go", "please go"], ["please"]),
        ("public <s> = a b*;", ["a", "a b", "a b b b"], ["b", "a a"]),
        ("public <s> = (a | b)+ c;", ["a c", "b a b c"], ["c", "a"]),
        ("<t> = x | y; public <s> = <t> and <t>;", ["x and y", "y and y"], ["x and"]),
        ('public <s> = "big window" {tag} | /* no */ door; // comment', ["big window", "door"], ["big", "window"]),
        ("public <a> = one; public <b> = two;", ["one", "two"], ["one two"]),
        ("<only> = unpublished;", ["unpublished"], [""]),
        ("public <s> = a <NULL> b;", ["a b"], ["a"]),
        ("public <s> = größer | 大きい;", ["größer", "大きい"], ["grosser"]),
    ],
)
def test_jsgf(body, accepted, refused):
    grammar = Grammar.of(f"#JSGF V1.0 UTF-8 en;\ngrammar test;\n{body}\n")
    assert [text for text in accepted if not grammar.accepts(text)] == []
    assert [text for text in refused if grammar.accepts(text)] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("public <s> = a", "semicolon is missing"),
        ("public <s> = ;", "no rule begins with"),
        ("public <s> = <t>;", "<t> is used but not there"),
        ("public <s> = a <s>;", "contains itself"),
        ("public <s> = (a | b;", r"'\)' is missing"),
        ("public <s> = a | ;", "an alternative is empty"),
        ("public <s> = /0.5/ a | b;", "weight /0.5/ is not supported"),
        ("import <x.y>;", "`import` is not supported"),
        ("public <s> = a; public <s> = b;", "<s> is there twice"),
        ("public <s> = a) b;", "too many"),
        ("", "there is no rule"),
        ("public <s> = \x00<;", "line 3 has an unexpected"),
    ],
)
def test_a_faulty_jsgf_says_what_is_wrong(body, message):
    with pytest.raises(GrammarError, match=message):
        Grammar.from_jsgf(f"#JSGF V1.0;\ngrammar test;\n{body}\n")


def test_jsgf_made_of_a_grammar_has_the_same_sentences():
    grammar = Grammar.of(["yes please", "yes", "no thanks"])
    again = Grammar.of(grammar.to_jsgf())
    assert again.count() == 3 and all(again.accepts(text) for text in ("yes", "yes please", "no thanks"))


def test_files(tmp_path):
    (tmp_path / "phrases.txt").write_text("\ufeffhello there\n\ngood bye\n", encoding="utf-8")
    (tmp_path / "slots.jsgf").write_text("#JSGF V1.0;\ngrammar g;\npublic <s> = hello | bye;\n")
    assert Grammar.of(tmp_path / "phrases.txt").count() == 2
    assert Grammar.of(str(tmp_path / "slots.jsgf")).accepts("bye")
    (tmp_path / "binary.txt").write_bytes(b"\x00\x81\xff\xfe")  # neither UTF-8 nor UTF-16
    for name, fault in (("binary.txt", "it cannot be read"), ("missing.txt", "there is no such file")):
        with pytest.raises(GrammarError, match=f"{name}: {fault}"):
            Grammar.of(tmp_path / name)


@pytest.mark.parametrize("bad", [[], [""], ["a", 3], 7])
def test_what_is_no_grammar_is_refused(bad):
    with pytest.raises(GrammarError):
        Grammar.of(bad)


def test_a_grammar_of_slots_survives_jsgf():
    again = Grammar.from_jsgf(Grammar.from_slots(GRAMMAR).to_jsgf(), "grid")
    assert again.count() == 64_000 and again.accepts("bin blue at f two now")


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ({"answer": "yes"}, "the slot 'answer' holds 'yes': pass a list of its words"),
        ({"digit": [1, 2]}, r"the slot 'digit' holds \[1, 2\]: pass a list"),
        ({"answer": ["yes", ""]}, "the slot 'answer' holds '', which is not one word"),
        ({"answer": ["yes please"]}, "the slot 'answer' holds 'yes please', which is not one word"),
    ],
)
def test_slots_of_something_else_are_refused(slots, message):
    with pytest.raises(GrammarError, match=message):
        Grammar.of(slots)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_text_is_no_path(text):
    with pytest.raises(GrammarError, match="empty text.*None for any words"):
        Grammar.of(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("jsgf", [False, True])
def test_files_of_any_editor_are_read(tmp_path, encoding, jsgf):
    text = "#JSGF V1.0;\ngrammar g;\npublic <s> = grüße [bob];\n" if jsgf else "grüße\r\ngrüße bob\r\n"
    file = tmp_path / "sentences.txt"
    file.write_bytes(text.encode(encoding))
    assert sorted(Grammar.of(file).sentences()) == ["grüße", "grüße bob"]


def test_a_number_among_sentences_is_named():
    with pytest.raises(GrammarError, match="the list of phrases: 1 is no sentence but an int"):
        Grammar.from_phrases([1])
