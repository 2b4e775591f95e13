"""Errors that all rooms share: one line, and packages that are not installed."""

import pytest

from lip2wav_hf.errors import (
    Lip2WavError,
    MissingExtraError,
    counted,
    in_one_thread,
    missing_extra,
    name_options,
    one_line,
    require_packages,
)


def test_a_missing_package_is_named_with_the_way_to_install_it():
    require_packages("evaluate", "this", "json", "csv")
    with pytest.raises(
        MissingExtraError, match=r"^the report needs the package no_such_package: pip install '\.\[evaluate\]' in a"
    ):
        require_packages("evaluate", "the report", "json", "no_such_package")
    error = missing_extra("train", "jiwer", "validation", "--validation_epochs 0")
    assert isinstance(error, Lip2WavError) and str(error).endswith("; or do without: --validation_epochs 0.")


def test_a_message_is_one_line():
    assert one_line("two\n lines") == "two lines"
    assert one_line(ValueError("bad")) == "bad" and one_line(OSError("bad")) == "OSError: bad"
    assert one_line(KeyError()) == "KeyError"


def test_arguments_become_options_where_there_are_some():
    text = "give `workers=2`, another `scheme=`, `overwrite=True`, `none=` or `fps`: a=b"
    options = {"workers": "--workers", "scheme": "--split-scheme", "overwrite": "--overwrite"}
    assert name_options(text, options.get) == (
        "give --workers 2, another --split-scheme, --overwrite, `none=` or `fps`: a=b"
    )


def test_what_false_turns_off_may_have_an_option_of_its_own():
    options = {"resume=False": "--restart", "resume": "--resume"}
    assert name_options("with `resume=False`, not `resume=True`", options.get) == "with --restart, not --resume"
    assert name_options("`other=False`", options.get) == "`other=False`"


def test_a_noun_follows_its_number():
    assert [counted(number, "good clip") for number in (0, 1, 2)] == ["0 good clips", "1 good clip", "2 good clips"]
    assert counted(1, "batch", "batches") == "1 batch" and counted(3, "batch", "batches") == "3 batches"


@pytest.mark.parametrize("threads", [1, 3])
def test_opencv_has_its_threads_again(threads):
    """Also after an error."""
    cv2 = pytest.importorskip("cv2")
    seen = []

    @in_one_thread
    def work(divisor: int) -> float:
        seen.append(cv2.getNumThreads())
        return 1 / divisor

    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        assert work(2) == 0.5
        with pytest.raises(ZeroDivisionError):
            work(0)
        assert seen == [1, 1] and cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
