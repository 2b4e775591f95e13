"""How a run begins: its parts, and what stops it at once."""

import json
import shutil
from pathlib import Path

import pytest

from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import open_corpus
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.grid.splits import BUNDLED_SPLIT
from lip2wav_hf.train.__main__ import main
from lip2wav_hf.training.arguments import DataArguments, OptimizationArguments
from lip2wav_hf.training.build import build_datasets, build_state, learning_rate_share, published_schemes
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.training.clips import prepare_clips
from lip2wav_hf.training.facts import training_facts
from lip2wav_hf.training.state import TrainingError
from little_videos import mute

from .runs import parse


def test_without_a_weight_there_is_no_critic(run_arguments, tmp_path):
    state = build_state(parse(run_arguments, tmp_path))
    assert state.critic is None and state.objective.critic_samples == 0


def test_too_few_clips_and_missing_files_are_named(run_arguments, tmp_path, capsys):
    options = [*run_arguments, "--output_dir", str(tmp_path)]
    assert main([*options, "--batch_size", "64"]) == 2
    assert "do not fill a batch of 64" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lip2wav_hf.training.build.prepare_clips", None)  # nothing is prepared before that is said
        assert main([*options, "--batch_size", "64"]) == 2
    assert "do not fill a batch of 64" in capsys.readouterr().err
    assert main([*options, "--speech_encoder", str(tmp_path / "nothing")]) == 2
    assert "Train it first" in capsys.readouterr().err
    assert main([*options, "--config", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err
    assert main([*options, "--resume", str(tmp_path / "nothing")]) == 2
    assert "no such checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("one_cycle", {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 100: 1e-3, 200: 1e-3}), ("constant", {9: 1.0, 99: 1.0})],
)
def test_the_learning_rate_rises_and_falls(schedule, expected):
    arguments = OptimizationArguments(max_steps=100, warmup_ratio=0.1, schedule=schedule)
    for step, share in expected.items():
        assert learning_rate_share(step, arguments) == pytest.approx(share, abs=1e-9)
    assert learning_rate_share(0, OptimizationArguments(warmup_ratio=0.0)) == 1.0


def test_validation_clips_that_all_say_new_words_are_an_error_that_says_what_to_do(tmp_path, talking_video):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in "ab":
        shutil.copy(talking_video, folder / f"{name}{talking_video.suffix}")
        (folder / f"{name}.txt").write_text(f"good {name}")
    (folder / "splits.json").write_text(json.dumps({"train": {"mine": ["a"]}, "validation": {"mine": ["b"]}}))
    data = DataArguments([str(folder)], cache_dir=str(tmp_path / "cache"), preprocessing_workers=1)
    extractor, config = Lip2WavFeatureExtractor(), Lip2WavConfig(vocabulary=["good", "a"])
    with pytest.raises(TrainingError, match="'validation' of .*mine. All its clips say words .* --validation_split"):
        build_datasets(data, extractor, config, None, 0, False)
    data.validation_split = "train"  # as it says
    trained_on, validated_on = build_datasets(data, extractor, config, None, 0, False)
    assert len(trained_on) == len(validated_on) == 1


def test_other_people_lend_their_looks_and_nothing_else(run_arguments, tmp_path, talking_video):
    folder = tmp_path / "crowd"
    folder.mkdir()
    shutil.copy(talking_video, folder / f"stranger{talking_video.suffix}")
    (folder / "metadata.csv").write_text(
        f"file_name,transcription,speaker\nstranger{talking_video.suffix},words that nobody else says,stranger\n"
    )
    options = [*run_arguments, "--appearance_dir", str(folder)]
    with pytest.raises(TrainingError, match="--appearance_dir without --appearance_probability"):
        build_state(parse(options, tmp_path / "run"))
    state = build_state(parse(options, tmp_path / "run", "--appearance_probability", "1", "--bend", "1"))
    plain = build_state(parse(run_arguments, tmp_path / "plain"))
    assert set(state.training_clips.looks) == {"synthetic1", "stranger"}
    assert set(state.validation_clips.looks) == set(plain.training_clips.looks) == {"synthetic1"}
    assert [clip.key for clip in state.training_clips.clips] == [clip.key for clip in plain.training_clips.clips]
    assert "nobody" not in state.model.config.vocabulary
    assert training_facts(state)["data"].endswith("Looks, and nothing else, of the people in crowd.")
    differ = (state.training_clips[0]["pixel_values_videos"] - plain.training_clips[0]["pixel_values_videos"]).abs()
    assert differ.mean() > 0.05


@pytest.mark.parametrize("inside", ["", "video"], ids=["any", "GRID without splits"])
def test_any_videos_lend_their_looks_without_sound_or_transcripts(
    inside, run_arguments, tmp_path, talking_video, caplog
):
    crowd = tmp_path / "crowd"
    for file in ("ann/one.mp4", "ann/two.mp4", "bob/one.mp4"):
        (crowd / inside / file).parent.mkdir(parents=True, exist_ok=True)
        mute(talking_video, crowd / inside / file)
    options = [*run_arguments, "--appearance_dir", str(crowd), "--appearance_probability", "1"]
    with caplog.at_level("INFO", logger="lip2wav_hf"):
        looks = build_state(parse(options, tmp_path / "run")).training_clips.looks
    assert "2 people lend their looks, in 3 videos" in caplog.text
    prefix = f"{inside}-" if inside else ""
    assert set(looks) == {"synthetic1", f"{prefix}ann", f"{prefix}bob"}
    (bob,) = looks[f"{prefix}bob"]
    assert bob not in looks[f"{prefix}ann"] and len(looks[f"{prefix}ann"]) == 2
    assert len(read_cached_clip(bob).regions) == 75 and not len(read_cached_clip(bob).waveform)


def test_looks_are_not_taken_for_clips_to_learn_from(tmp_path, talking_video):
    clip = Clip("ann", "one", talking_video, ("bin",))
    places = [
        prepare_clips([clip], Lip2WavFeatureExtractor(), tmp_path, rate, 1, False).files[clip.key]
        for rate in (None, 16000)
    ]
    assert [len(read_cached_clip(place).waveform) for place in places] == [0, 48000]


def test_people_who_lend_their_looks_must_be_there(run_arguments, tmp_path):
    more = ["--appearance_probability", "1", "--appearance_dir", str(tmp_path / "nobody")]
    with pytest.raises(TrainingError, match="--appearance_dir .*nobody: no such folder"):
        build_state(parse(run_arguments, tmp_path / "run", *more))
    (tmp_path / "nobody").mkdir()
    with pytest.raises(TrainingError, match="--appearance_dir .*nobody: there is no video in it"):
        build_state(parse(run_arguments, tmp_path / "run", *more))


def test_speakers_that_a_recipe_chose_are_named_as_its_choice(run_arguments, tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(Path(run_arguments[0]).read_text() + "\nspeakers: [s1]\n")
    assert main([str(recipe), *run_arguments[1:], "--output_dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "no speaker s1; it has synthetic1. The recipe takes speaker s1 only; choose yours: --speakers" in error
    assert main([*run_arguments, "--speakers", "s1", "--output_dir", str(tmp_path / "run")]) == 2
    assert "recipe" not in capsys.readouterr().err


def test_a_config_of_another_network_is_refused(recipe, tmp_path):
    with pytest.raises(ValueError, match="a model of the type 'lip2wav', not 'lip2wav_syncnet'"):
        build_state(parse(recipe, tmp_path, "--network", "syncnet"))


def test_a_split_that_was_chosen_by_itself_is_named_in_the_card(tmp_path, run_arguments):
    folder = tmp_path / "grid" / "video" / "s1"
    folder.mkdir(parents=True)
    for split in json.loads(BUNDLED_SPLIT.read_text()).values():
        for name in split.get("s1", ()):
            (folder / f"{name}.mkv").touch()
    corpus, data = open_corpus(tmp_path / "grid"), DataArguments([str(tmp_path / "grid")])
    assert published_schemes([corpus], data) == ("grid_s1",)
    state = build_state(parse(run_arguments, tmp_path / "run"))
    assert state.split_schemes == ()  # the folder has splits of its own
    state.split_schemes = published_schemes([corpus, corpus], data)
    assert training_facts(state)["data"].endswith("split 'train' of 'grid_s1'.")
