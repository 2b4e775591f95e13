"""How a run is judged while it trains."""

from lip2wav_hf.training.validation import validate

from .runs import run


def test_validation_is_of_the_averaged_weights(run_arguments, tmp_path, fresh_accelerator):
    state = run(run_arguments, tmp_path, "--mixed_precision", "bf16", "--max_steps", 2)
    before = validate(state)
    assert before == validate(state)  # no dropout
    assert "validation/stft" not in before  # nor what training alone looks at
    assert state.objective.training
    for parameter in state.model.parameters():
        parameter.data.zero_()
    assert validate(state) == before
    for parameter in state.average.model.parameters():
        parameter.data.zero_()
    assert validate(state) != before


def test_validation_scores_sound(run_arguments, tmp_path):
    state = run(run_arguments, tmp_path, "--max_steps", 2, "--validation_clips", 2)
    results = validate(state)
    assert 0 <= results["validation/stoi"] <= 1 and 0.9 < results["validation/pesq_nb"] < 4.6
    assert "validation/stoi" not in validate(
        run(run_arguments, tmp_path / "deaf", "--max_steps", 1, "--validation_clips", 0)
    )


def test_trackers_get_sound_and_pictures(run_arguments, tmp_path, fresh_accelerator):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(run_arguments, tmp_path, "--max_steps", 10, "--validation_clips", 1, "--with_tracking", "true")
    folder = next((tmp_path / "logs").rglob("events.out.tfevents*")).parent
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    assert any(tag.startswith("generated/") for tag in tags["audio"])
    assert {tag.partition("/")[0] for tag in tags["images"]} == {"generated", "original", "mouth_crops"}
    assert {"train/mel", "validation/stoi", "share_of_time_waiting_for_data"} <= set(tags["scalars"])
