"""Networks of a run: where they come from, and what they keep when it goes on."""

import json

import pytest
import torch

from lip2wav_hf import Lip2WavCritic, Lip2WavCriticConfig, Lip2WavModel, Lip2WavSpeechEncoder
from lip2wav_hf.grammar import TextNormalizer
from lip2wav_hf.models import CHECKPOINTS
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training import networks
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.checkpoints import save_checkpoint
from lip2wav_hf.training.networks import build_critic, build_model, load_speech_encoder, plan_networks
from lip2wav_hf.training.objectives import OF_SOUND
from lip2wav_hf.training.validation import validate

from .runs import TINY_CRITIC, TINY_MODEL, parse, run


def plan(*options):
    return plan_networks(parse_arguments(["--data_dir", "nowhere", *map(str, options)]))


def test_bundled_models_are_known_by_their_names():
    made = plan(
        "--pretrained",
        "grid-s1",
        "--speech_encoder",
        "grid-s1",
        "--adversarial",
        0.1,
        "--critic_pretrained",
        "grid-s1",
    )
    assert made.pretrained == CHECKPOINTS / "grid-s1"
    assert isinstance(build_model(made, None), Lip2WavModel)
    assert isinstance(made.speech_encoder, Lip2WavSpeechEncoder) and isinstance(build_critic(made), Lip2WavCritic)
    assert plan("--network", "syncnet", "--pretrained", "grid-sync").network.name == "syncnet"
    plan("--sync_network", "grid-sync", "--synchronize", "s1")


def test_a_part_lies_at_the_top_of_a_folder_or_in_one_of_its_kind(tmp_path):
    encoder = load_speech_encoder("grid-s1")
    encoder.save_pretrained(tmp_path)
    again = load_speech_encoder(str(tmp_path)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--pretrained", "grid-s2"], "--pretrained: model grid-s2: there is no such folder.*grid-s1"),
        (["--pretrained", "grid-sync"], "a model of the type 'lip2wav_syncnet', not 'lip2wav'"),
        (["--speech_encoder", "nowhere"], "--speech_encoder nowhere: no speech encoder can be loaded.*Train it first"),
        (["--speech_encoder", "grid-sync"], r"'lip2wav_syncnet', without a folder speech_encoder/"),
        (["--speech_encoder", "grid-s1", "--config", "{bins}"], r"its `num_mel_bins` is not .* \(80 and 20\)"),
        (["--speech_encoder", "grid-s1", "--config", "{words}"], "its `vocabulary` is not that of the generator"),
        (["--adversarial", 1, "--critic_pretrained", "nowhere"], "--critic_pretrained nowhere: no critic can be"),
        (["--config", "nowhere.json"], "nowhere.json"),
        (["--adversarial", 1, "--decoder_window_frames", 32], "the critic judges 10240 samples, .* have 5120"),
    ],
)
def test_networks_that_cannot_be_had_are_named_before_any_clip_is_looked_for(tmp_path, options, complaint):
    files = {"bins": tmp_path / "bins.json", "words": tmp_path / "words.json"}
    files["bins"].write_text(json.dumps(TINY_MODEL))
    files["words"].write_text(json.dumps({"vocabulary": ["yes", "no"]}))
    options = [str(word).format(**files) for word in options]
    with pytest.raises(ValueError, match=complaint):
        plan(*options)


def test_features_of_an_encoder_need_no_common_words():
    options = ["--speech_encoder", "grid-s1", "--text_units", "characters"]
    with pytest.raises(TrainingError, match="its `text_units` is not .* or say --heard_words 0"):
        plan(*options)
    made = plan(*options, "--heard_words", 0)
    assert made.speech_encoder is not None and made.config.units.is_open


def test_how_text_is_written_is_an_option_of_new_networks(tmp_path):
    made = plan("--text_units", "characters", "--text_case", "keep", "--text_unicode", "NFC", "--text_numbers", "en")
    assert made.config.normalizer == TextNormalizer("keep", "drop", "en", "NFC")
    encoder = plan("--network", "speech_encoder", "--text_punctuation", "keep")
    assert encoder.config.normalizer == TextNormalizer(punctuation="keep")
    for options, complaint in (
        (["--text_units", "syllables"], "--text_units syllables: there are words and characters"),
        (["--text_case", "upper"], "--text_case upper: there are lower and keep"),
        (["--text_case", "keep", "--pretrained", "grid-s1"], "--text_case beside --pretrained"),
        (["--text_units", "characters", "--network", "syncnet"], "--text_units with --network syncnet"),
        (["--ngram_order", 2, "--network", "speech_encoder"], "--ngram_order with --network speech_encoder"),
    ):
        with pytest.raises(ValueError, match=complaint):
            plan(*options)


def test_a_critic_of_another_rate_is_refused(tmp_path):
    Lip2WavCritic(Lip2WavCriticConfig(**TINY_CRITIC, sampling_rate=8000)).save_pretrained(tmp_path)
    with pytest.raises(TrainingError, match="it judges sound at 8000 Hz, the generator speaks at 16000 Hz"):
        plan("--adversarial", 1, "--critic_pretrained", tmp_path)


def test_without_a_loss_there_is_no_critic(tmp_path):
    assert plan("--critic_start", 5, "--adversarial", 0).critic is None


def test_a_resumed_critic_standardises_as_before_though_the_data_have_changed(
    run_arguments, critic_options, tmp_path, monkeypatch
):
    first = build_state(parse(run_arguments, tmp_path, *critic_options))
    save_checkpoint(first)
    waveform = 0.1 * torch.randn(2, 10240)
    scores = first.critic(waveform).scores
    monkeypatch.setattr(networks, "measure_spectrogram", lambda *_: (-2.0, 5.0))
    second = build_state(parse(run_arguments, tmp_path, *critic_options, "--resume", "latest"))
    assert second.critic.config.mel_mean == second.model.config.mel_mean == -2.0
    second.accelerator.load_state(str(tmp_path / "checkpoint-0"))
    for network in (second.model, second.average.model, second.critic):
        assert network.config.mel_mean == first.model.config.mel_mean
    assert torch.equal(second.critic(waveform).scores, scores)


def test_without_training_the_lips_the_sound_alone_learns(run_arguments, tmp_path):
    few = ("--max_steps", 1, "--validation_clips", 0)
    before = run(run_arguments, tmp_path / "before", *few).average.model.state_dict()
    kept = ("--pretrained", tmp_path / "before" / "final", "--no_train_lips", *few)
    after = run(run_arguments, tmp_path / "after", *kept).average.model.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name].half().float())}
    assert changed == {"mel_decoder", "decoder"}


def test_lips_are_kept_of_a_trained_network_and_something_else_must_learn(run_arguments, tmp_path):
    with pytest.raises(TrainingError, match="--no_train_lips: name the network whose lips are kept"):
        build_state(parse(run_arguments, tmp_path / "new", "--no_train_lips"))
    run(run_arguments, tmp_path / "before", "--max_steps", 1, "--validation_clips", 0)
    silent = [word for name in OF_SOUND for word in (f"--{name}", 0)]
    kept = ("--pretrained", tmp_path / "before" / "final", "--no_train_lips", *silent)
    with pytest.raises(TrainingError, match="nothing would be learnt, since no loss of the sound has a weight"):
        build_state(parse(run_arguments, tmp_path / "after", *kept))


NO_WORDS = ("--ctc", 0, "--words", 0)


@pytest.mark.parametrize(("options", "reads"), [((), True), (NO_WORDS, False), (("--ctc", 0), True)])
def test_a_text_head_that_learns_nothing_reads_no_words(run_arguments, tmp_path, options, reads):
    state = run(run_arguments, tmp_path, "--max_steps", 1, "--validation_clips", 0, *options)
    for network in (state.model, state.average.model):
        assert network.config.reads_words is reads
    assert ("validation/text_wer" in validate(state)) is reads
    saved = tmp_path / "final"
    assert json.loads((saved / "config.json").read_text())["text_recognition"] is reads
    assert (saved / "tokenizer.json").exists() is reads


def test_a_text_head_stays_untrained_until_it_is_trained(run_arguments, tmp_path):
    options = ("--max_steps", 2, "--save_steps", 1, "--validation_clips", 0)
    run(run_arguments, tmp_path, *options, *NO_WORDS)
    kept = run(run_arguments, tmp_path, *options[2:], "--max_steps", 3, "--resume", "latest", *NO_WORDS)
    assert not kept.average.model.config.reads_words
    begun = ("--pretrained", tmp_path / "final", "--max_steps", 1, "--validation_clips", 0)
    assert not run(run_arguments, tmp_path / "further", *begun, *NO_WORDS).average.model.config.reads_words
    learnt = run(run_arguments, tmp_path / "words", *begun)
    assert learnt.average.model.config.reads_words
    # What was learnt once stays, whatever a later run trains.
    later = ("--pretrained", tmp_path / "words" / "final", *begun[2:])
    assert run(run_arguments, tmp_path / "later", *later, *NO_WORDS).average.model.config.reads_words
