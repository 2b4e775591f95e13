"""What is said of the training of each system, from the files that trainings leave."""

import json
import shutil

import pytest

from lip2wav_hf.comparison.trainings import (
    Curve,
    curve_table,
    draw_curves,
    read_curve,
    training_of,
    verdicts,
)
from lip2wav_hf.hub.facts import known_facts
from lip2wav_hf.models import CHECKPOINTS, baseline_models


FALLING = [{"step": 100 * step, "seconds": 36 * step, "validation/loss": 1 / step} for step in range(1, 11)]


def write_run(folder, source, *, step=1000, points=FALLING, **record):
    """A run with `best/`, as a training leaves it."""
    shutil.copytree(source, folder / "best")
    facts = {"data": "5 clips of s1.", "training": f"{step} steps.", "core_hours": 0.25, "hardware": "1 x a core"}
    content = {"step": step, "number": 0, "processes": 1, "options": {}, "facts": facts} | record
    (folder / "best" / "training.json").write_text(json.dumps(content))
    if points is not None:
        (folder / "validation.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    return folder / "best"


def test_a_training_that_was_stopped_early_is_called_so():
    curve = Curve(FALLING, 1000)
    assert curve.late_fall == pytest.approx((1 / 7 - 1 / 10) / (1 / 7))
    assert verdicts({"theirs": curve}) == [
        "theirs: 10 validations up to step 1000: the loss fell by 30.0 % over the last quarter of the steps. It is"
        " still falling, so this system is under-trained."
    ]


def test_a_training_that_has_levelled_off_is_not():
    points = [
        {"step": step, "validation/loss": 1.0 if step < 3 else 0.5 + 0.001 * (step % 2)} for step in range(1, 13)
    ]
    assert Curve(points, 12).verdict.endswith("fell by 0.0 % over the last quarter of the steps. It has levelled off.")


@pytest.mark.parametrize("points", [FALLING[:2], [{"step": 1}, {"step": 2}, {"step": 3}]])
def test_nothing_is_said_of_too_few_validations(points):
    assert "too few to say" in Curve(points, 2).verdict


def test_what_a_run_states(tmp_path, tiny_model_dir):
    training = training_of(str(write_run(tmp_path / "run", tiny_model_dir)))
    assert training.cells() == [
        "Lip2Wav, this package's own system",
        "5 clips of s1.",
        "1000 steps.",
        "0.25 core-hours on 1 x a core",
    ]
    assert training.curve is not None and training.curve.step == 1000 and len(training.curve.points) == 10


def test_what_was_trained_before_counts_too(tmp_path, tiny_model_dir):
    first = write_run(tmp_path / "first", tiny_model_dir)
    config = json.loads((first / "config.json").read_text())
    (first / "config.json").write_text(json.dumps({**config, "model_type": "lip2audspec_autoencoder"}))
    options = {"autoencoder": str(first), "speech_encoder": "nosuch", "pretrained": [1]}
    later = write_run(tmp_path / "later", tiny_model_dir, options=options)
    assert training_of(str(later)).compute == (
        "0.25 core-hours on 1 x a core, beside 0.25 core-hours for the autoencoder and what is not stated for the"
        " speech encoder"
    )


def test_a_network_inside_of_a_model_took_a_part_of_its_hours(tmp_path, tiny_model_dir):
    """The bundled model brings its speech encoder along, and states the hours of both."""
    later = write_run(tmp_path / "later", tiny_model_dir, options={"speech_encoder": "grid-s1"})
    compute = training_of(str(later)).compute
    hours = known_facts(CHECKPOINTS / "grid-s1")["core_hours"]
    assert compute.endswith(f", beside a part of the {hours} core-hours of grid-s1 for the speech encoder")


def test_the_curve_goes_with_the_model(tmp_path, tiny_model_dir):
    """Of a folder that was moved away from its run, and of one that never had any."""
    best = write_run(tmp_path / "run", tiny_model_dir)
    shutil.copy(best.parent / "validation.jsonl", best)
    moved = shutil.move(best, tmp_path / "mine")
    assert len(read_curve(moved).points) == 10
    (moved / "validation.jsonl").unlink()
    assert read_curve(moved) is None and read_curve(tiny_model_dir) is None


def test_the_curve_of_a_model_to_compare_with_needs_no_record():
    """Its folder has the validations and no options of the run, which name folders."""
    for folder in baseline_models():
        curve = read_curve(folder)
        assert curve.step == curve.points[-1]["step"] and "of the steps" in curve.verdict


def test_lines_that_a_killed_run_has_left_are_passed_over(tmp_path, tiny_model_dir):
    best = write_run(tmp_path / "run", tiny_model_dir, points=None)
    lines = [
        json.dumps(FALLING[1]),
        "[" * 100_000,
        '{"step": 1' + "0" * 400 + "}",
        '{"step": 300, "validation/loss": NaN}',
        "[1]",
        "null",
        json.dumps(FALLING[0]),
    ]
    (best.parent / "validation.jsonl").write_text("\n".join([*lines, '{"step": 4']))
    assert [point["step"] for point in read_curve(best).points] == [100, 200, 300]


def test_nothing_is_known_of_a_folder_of_sounds(tmp_path):
    assert training_of(str(tmp_path)).cells() == ["not stated"] * 4


def test_a_long_statement_fits_in_the_table(tmp_path, tiny_model_dir):
    facts = {"training": "Many steps. " * 90, "data": "clips"}
    length = training_of(str(write_run(tmp_path / "run", tiny_model_dir, facts=facts))).cells()[2]
    assert len(length) < 200 and length.endswith("… (its card says more)")


def test_the_table_has_the_first_and_the_last_validation():
    points = [point | {"validation/stoi": 0.5} for point in FALLING]
    headings, rows = curve_table(Curve(points, 1000))
    assert headings == ["step", "hours", "loss", "STOI"] and len(rows) == 8
    assert rows[0] == ["100", "0.01", "1.000", "0.500"] and rows[-1] == ["1000", "0.10", "0.100", "0.500"]
    assert len(curve_table(Curve(points[:3], 300))[1]) == 3


def test_curves_are_drawn_whatever_the_label():
    assert draw_curves({}) is None
    assert draw_curves({"a": Curve([{"step": 1}], 1)}) is None
    drawn = draw_curves({"$\\frac": Curve(FALLING, 1000), "b": Curve(FALLING[:1], 100)})
    assert drawn.startswith("data:image/svg+xml;base64,")
