"""Options that contradict each other or the run, and what a run is warned of: known before any work is done."""

import dataclasses
from typing import get_type_hints

import pytest

from lip2wav_hf import Lip2WavConfig
from lip2wav_hf.train.__main__ import main, parse_arguments
from lip2wav_hf.training import checks, losses
from lip2wav_hf.training.arguments import SoundLoss, TrainingArguments, TrainingError, Use
from lip2wav_hf.training.checks import DEFAULT_DECODER, check_arguments, check_effects
from lip2wav_hf.training.recipes import list_recipes


RECIPES = list(list_recipes())


def parse(*options) -> TrainingArguments:
    return parse_arguments(["--data_dir", "nowhere", *map(str, options)])


@pytest.mark.parametrize(
    ("options", "decoder", "complaint"),
    [
        (["--network", "syncnet", "--adversarial", 0.1], None, "--adversarial with --network syncnet"),
        (["--network", "syncnet", "--ctc", 0.1, "--mel", 2], None, "--mel, --ctc with --network syncnet"),
        (["--network", "speech_encoder", "--speech_encoder", "grid-s1"], None, "--speech_encoder with --network spe"),
        (
            ["--network", "speech_encoder", "--critic_pretrained", "grid-s1"],
            None,
            "--critic_pretrained with --network",
        ),
        (["--network", "speech_encoder", "--rotation", 9], None, "--rotation with --network speech_encoder"),
        (["--critic_pretrained", "grid-s1"], "istft", "--critic_pretrained without --adversarial"),
        (["--critic_start", 9, "--critic_steps", 2], "istft", "--critic_start, --critic_steps without --adversarial"),
        (["--heard_words", 1], "istft", "--heard_words without --speech_encoder"),
        (["--sync_network", "grid-sync"], "istft", "--sync_network without --synchronize"),
        (["--hub_model_id", "me/my-voice"], "istft", "--hub_model_id without --push_to_hub"),
        (["--config", "a.json", "--pretrained", "grid-s1"], "istft", "--config beside --pretrained, which brings its"),
        (["--decoder_windows", 4, "--mel", 2], "frame", '--mel, --decoder_windows with the "frame" decoder'),
        (["--mel", 2, "--critic_start", 9], "frame", 'with the "frame" decoder; --critic_start without --adversarial'),
    ],
)
def test_options_without_effect_are_refused_by_name(options, decoder, complaint):
    with pytest.raises(TrainingError, match="options without effect: .*Leave them out") as error:
        check_effects(parse(*options), decoder)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("options", "decoder"),
    [
        (["--network", "syncnet", "--mel", 0, "--validation_clips", 0], None),  # turned off, which they are
        (["--network", "speech_encoder", "--ctc", 0.1, "--stretch", 0.1], None),
        (["--critic_start", 9, "--adversarial", 0], "istft"),  # a recipe with a critic, without it this time
        (
            ["--adversarial", 0.1, "--critic_config", "a.json", "--speech_encoder", "grid-s1", "--perceptual", 2],
            "istft",
        ),
        (["--mel", 1, "--decoder_windows", 8], "frame"),  # the defaults
        (["--pretrained", "grid-s1", "--critic_pretrained", "grid-s1", "--adversarial", 0.1], "istft"),
    ],
)
def test_other_options_are_not(options, decoder):
    check_effects(parse(*options), decoder)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_option_of_the_recipes_has_an_effect(recipe):
    run = parse_arguments([recipe])
    decoder = "istft" if check_arguments(run).name == "generator" else None
    check_effects(run, "frame" if recipe.startswith("vougioukas2019") else decoder)


def test_what_the_options_name_exists():
    """Networks and other options that `Use` refers to."""
    names = {field.name for section in parse() for field in dataclasses.fields(section)}
    for section in parse():
        for hint in get_type_hints(type(section), include_extras=True).values():
            for use in getattr(hint, "__metadata__", ()):
                if isinstance(use, SoundLoss):
                    assert callable(getattr(losses, use.function))
                    continue
                assert isinstance(use, Use)
                assert set(use.networks) <= set(checks.TRAINABLE) and use.decoder in (None, "istft", "frame")
                assert {use.needs, use.replaced_by} <= names | {None}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--network", "critic"], "there are generator, speech_encoder, syncnet"),
        (["--schedule", "linear"], "there are one_cycle and constant"),
        (["--network", "syncnet", "--synchronize", "s1"], "cannot be used to train one"),
        (["--network", "speech_encoder", "--adversarial", "1"], "--adversarial with --network speech_encoder"),
    ],
)
def test_it_is_said_before_any_clip_is_looked_for(tmp_path, capsys, options, complaint):
    folder = tmp_path / "nowhere"
    assert main(["--data_dir", str(folder), "--mixed_precision", "no", *options]) == 2
    message = capsys.readouterr().err
    assert complaint in message and "nowhere" not in message


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (["--critic_start", 20, "--max_steps", 20], "the critic never starts: it begins at step 20"),
        (["--critic_start", 5, "--critic_warmup", 15, "--max_steps", 20], "the critic never counts: it learns alone"),
        (["--critic_start", 5, "--critic_warmup", 14, "--max_steps", 20], ""),
    ],
)
def test_a_critic_that_never_comes_is_told_of(caplog, options, warning):
    check_arguments(parse(*options, "--adversarial", 0.1))
    assert warning in caplog.text and bool(warning) == bool(caplog.text)
    caplog.clear()
    check_arguments(parse(*options, "--adversarial", 0))
    assert not caplog.text


def test_options_of_a_recipe_that_others_have_made_useless_are_left_out():
    """A person cannot leave out what a recipe sets."""
    for words, decoder, useless in (
        (["tiny", "--pretrained", "grid-s1"], "istft", {"config"}),
        (
            ["grid_s1", "--network", "syncnet", "--critic_start", 0],
            None,
            {"adversarial", "speech_encoder", "envelope"},
        ),
        (["vougioukas2019", "--config", "tiny.json", "--decoder_windows", 4], "istft", set()),
    ):
        run = parse_arguments([*map(str, words), "--data_dir", "nowhere"])
        left = check_effects(run, decoder)
        assert useless <= run.recipe - left.recipe
        assert all(left.options()[name] == left.defaults()[name] for name in useless)
    with pytest.raises(TrainingError, match="--rotation with --network speech_encoder. Leave"):  # its own, and only it
        words = ["grid_s1", "--network", "speech_encoder", "--rotation", "9", "--data_dir", "nowhere"]
        check_effects(parse_arguments(words), None)


def test_a_recipe_that_contradicts_itself_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("data_dir: [nowhere]\ncritic_start: 5\n")
    with pytest.raises(TrainingError, match="--critic_start without --adversarial"):
        check_effects(parse_arguments([str(tmp_path / "mine.yaml"), "--seed", "1"]), "istft")


def test_the_decoder_that_is_assumed_is_the_default_one():
    assert Lip2WavConfig().decoder_type == DEFAULT_DECODER


@pytest.mark.parametrize("option", ["max_steps", "batch_size", "gradient_accumulation_steps", "save_total_limit"])
def test_numbers_that_must_be_positive(option):
    with pytest.raises(TrainingError, match=f"--{option} must be at least 1"):
        check_arguments(parse(f"--{option}", 0))


@pytest.mark.parametrize(
    ("option", "value", "range_"),
    [
        ("bend", "-1", "0 or more"),
        ("noise", "nan", "0 or more"),
        ("appearance_probability", "1.5", "between 0 and 1"),
        ("flip_probability", "-0.1", "between 0 and 1"),
        ("label_smoothing", "1", "0 or more, and below 1"),
        ("word_contrast", "-1", "0 or more"),
        ("mel", "inf", "0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(option, value, range_):
    with pytest.raises(TrainingError, match=f"--{option} {float(value)}: it must be {range_}"):
        check_arguments(parse(f"--{option}={value}"))


@pytest.mark.parametrize("option", ["decoder_windows", "decoder_real_windows"])
def test_windows_are_no_negative_number(option):
    with pytest.raises(TrainingError, match=f"--{option} -1: it must be 0 or more"):
        check_arguments(parse(f"--{option}=-1"))
    check_arguments(parse(f"--{option}=0"))
