"""What systems are called."""

import pytest

from lip2wav_hf.comparison.systems import ComparisonError, System, file_names, named_systems


def test_a_name_or_a_label_and_a_name(tmp_path):
    assert System.named("grid-s1") == System("grid-s1", "grid-s1")
    assert System.named("our best = grid-s1") == System("our best", "grid-s1")
    assert System.named("a=runs/b=c/best") == System("a", "runs/b=c/best")
    assert [system.label for system in named_systems(None)] == ["grid-s1"]


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path):
    folder = tmp_path / "rate=3"
    folder.mkdir()
    assert System.named(str(folder)) == System("rate=3", str(folder))


def test_the_model_of_a_run_goes_by_the_run(tmp_path):
    (tmp_path / "mine" / "best").mkdir(parents=True)
    assert System.named(str(tmp_path / "mine" / "best")).label == "mine"


@pytest.mark.parametrize("text", ["=grid-s1", "label=", " = ", ""])
def test_half_a_name_is_refused(text):
    with pytest.raises(ComparisonError, match="NAME, or LABEL=NAME"):
        System.named(text)


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a=x", "A=y"], "two systems are called 'A'"), (["original=x"], "'Original' is the recording itself")],
)
def test_labels_are_told_apart(names, message):
    with pytest.raises(ComparisonError, match=message):
        named_systems(names)


def test_file_names_are_safe_and_distinct():
    assert file_names(["s1/bbaf2n", "S1 bbaf2n", "../..", "", "A<b>&\"'=", "Ä"]) == [
        "s1-bbaf2n",
        "s1-bbaf2n-2",
        "x",
        "x-2",
        "a-b",
        "x-3",
    ]
