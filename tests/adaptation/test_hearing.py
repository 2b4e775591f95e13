"""A voice that is learnt from its sound alone."""

import functools
import importlib
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import pipeline

from lip2wav_hf import Lip2WavFeatureExtractor, adapt, read_audio, write_audio
from lip2wav_hf.adaptation import passes, running
from lip2wav_hf.adaptation.hearing import (
    HeardObjective,
    certainty,
    faces_of,
    imagines_lips,
    pieces_of,
    sound_clips,
    spoken_level,
)
from lip2wav_hf.adaptation.level import speech_level
from lip2wav_hf.adaptation.records import AdaptationError
from lip2wav_hf.adaptation.running import read_record
from lip2wav_hf.adaptation.starting import load_starting_model
from lip2wav_hf.adaptation.voice import MOST_SAMPLES, read_voice
from lip2wav_hf.audio import Encoding, write_pictures
from lip2wav_hf.configuration_lip2wav import Lip2WavSpeechEncoderConfig
from lip2wav_hf.generator import LogMelSpectrogram
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.modeling_critic import Lip2WavSpeechEncoder
from lip2wav_hf.training.arguments import LossArguments
from lip2wav_hf.training.cache import CachedClip, read_cached_clip, write_cached_clip
from lip2wav_hf.training.networks import freeze_lips

from .conftest import SENTENCES, write_metadata


RATE, FRAME = 16000, 640
adapt_module = importlib.import_module("lip2wav_hf.adaptation.adapt")


def imagining(model, size=None, **options):
    """A tiny speech encoder that imagines what a generator sees."""
    torch.manual_seed(1)
    config = Lip2WavSpeechEncoderConfig(
        hidden_size=16,
        num_layers=1,
        num_mel_bins=model.config.num_mel_bins,
        lip_states_size=model.config.hidden_size if size is None else size,
        **options,
    )
    encoder = Lip2WavSpeechEncoder(config)
    if encoder.lips is not None:
        encoder.lips.faces.normal_()
    return encoder.eval()


@pytest.fixture(scope="module")
def imagining_model(starting_model, tmp_path_factory):
    """The tiny network, with a speech encoder of its own."""
    folder = shutil.copytree(starting_model, tmp_path_factory.mktemp("models") / "imagining")
    imagining(load_starting_model(folder)).save_pretrained(folder / "speech_encoder")
    return folder


def noise(seconds, loudness=0.1):
    return np.random.default_rng(0).normal(0, loudness, int(seconds * RATE)).astype(np.float32)


def test_sound_is_cut_into_pieces_of_one_loudness():
    pieces = pieces_of([noise(23.03), noise(1.0, 0.02)], FRAME, -26.0)
    assert [len(piece) % FRAME for piece in pieces] == [0] * 4
    assert [len(piece) // FRAME for piece in pieces] == [192, 192, 192, 64]  # a window at least
    assert [speech_level(piece[:RATE]) for piece in pieces] == pytest.approx([-26.0] * 4, abs=0.5)
    whole = np.concatenate(pieces[:3])
    assert np.corrcoef(whole[: 7 * RATE], noise(23.03)[: 7 * RATE])[0, 1] > 0.999
    assert not pieces[3][RATE:].any()


def test_no_more_than_two_minutes_of_a_voice_are_kept(tmp_path):
    for number in range(3):
        write_audio(tmp_path / f"{number}.wav", noise(50), RATE)
    voice, _ = read_voice(sorted(tmp_path.iterdir()))
    assert sum(map(len, voice.sound)) == MOST_SAMPLES and [len(sound) // RATE for sound in voice.sound] == [50, 50, 20]
    write_audio(tmp_path / "2.wav", np.concatenate([np.zeros(30 * RATE, np.float32), noise(20)]), RATE)
    voice, _ = read_voice(sorted(tmp_path.iterdir()))
    assert [len(sound) // RATE for sound in voice.sound] == [50, 50]  # of the third only a silence would be left


def test_pieces_become_clips_without_a_word(tmp_path):
    extractor = Lip2WavFeatureExtractor()
    prepared = sound_clips([noise(4.0)], extractor, "bin", FRAME, tmp_path)
    cached = read_cached_clip(prepared.files[prepared.clips[0].key])
    assert cached.regions.shape == (100, extractor.roi_height, extractor.roi_width) and not cached.regions.any()
    assert (cached.frame_words == -1).all()
    assert np.abs(cached.waveform / 32767 - noise(4.0)).max() < 1e-4


def test_the_sound_alone_learns_and_no_picture_is_needed(starting_model):
    model = load_starting_model(starting_model)
    freeze_lips(model)
    face = torch.zeros(1, model.config.hidden_size)
    encoder = imagining(model)
    objective = HeardObjective(model, LossArguments(heard_words=0.0, perceptual=1.0), encoder, face).train()
    waveform = torch.from_numpy(noise(5.12)).view(2, -1)
    batch = {
        "waveform": waveform,
        "frame_mask": torch.ones(2, 64, dtype=torch.long),
        "stretch": torch.ones(2),
        "frame_classes": torch.zeros(2, 64, dtype=torch.long),
    }
    sum(objective(batch).losses.values()).backward()
    learning = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert learning == {"mel_decoder", "decoder"}
    assert all(each.grad is None for each in encoder.parameters())
    objective.eval()
    losses, words = objective.validate(batch)
    assert words == [] and {"mel", "perceptual"} <= losses.keys()
    other = HeardObjective(model, objective.weights, encoder, face + 1).eval()
    assert not torch.isclose(other(batch).losses["mel"], losses["mel"])
    assert torch.equal(other.with_model(model)(batch).losses["mel"], other(batch).losses["mel"])


def test_each_clip_is_of_one_of_the_faces_in_training(starting_model, monkeypatch):
    model = load_starting_model(starting_model)
    faces = torch.tensor([[1.0], [2.0], [6.0]]).expand(3, model.config.hidden_size).clone()
    encoder = imagining(model)
    objective = HeardObjective(model, LossArguments(heard_words=0.0, perceptual=1.0), encoder, faces)
    monkeypatch.setattr(encoder, "imagine_lips", lambda mel, mask: torch.zeros(len(mel), 64, faces.shape[1]))
    seen = []
    monkeypatch.setattr(objective, "_of_spectrogram", lambda hidden, *_: seen.append(hidden))
    batch = {"waveform": torch.zeros(40, 64 * FRAME), "frame_mask": torch.ones(40, 64, dtype=torch.long)}
    objective.train()(batch)
    objective.eval()(batch)
    assert set(seen[0][:, 0, 0].tolist()) == {1, 2, 6} and (seen[0] == seen[0][:, :1, :1]).all()
    assert (seen[1] == 3).all()


def test_how_certain_an_encoder_is_of_what_it_hears(starting_model):
    encoder = imagining(load_starting_model(starting_model))
    sound = np.concatenate([noise(1.28), np.zeros(20480, np.float32)])
    with torch.no_grad():
        encoder.text_head.weight.zero_()
        encoder.text_head.bias.zero_()
        assert certainty(encoder, [sound]) == pytest.approx(1 / encoder.config.num_classes)
        log_mel = LogMelSpectrogram(encoder.config).standardised(torch.from_numpy(sound)[None])
        likely = torch.zeros(1, 64, encoder.config.num_classes)
        likely[:, :30, 5] = 20.0  # of speech, but for its end, it is sure
        encoder.forward = lambda mel: SimpleNamespace(text_logits=likely) if torch.equal(mel, log_mel) else None
        assert certainty(encoder, [sound]) == pytest.approx(30 / 32, abs=0.02)


def test_other_words_than_the_encoder_knows_are_noted(silent_folder, imagining_model, tmp_path, monkeypatch):
    options = {"model": imagining_model, "voice": tmp_path / "voice.wav", "steps": 2}
    monkeypatch.setattr(passes, "certainty", lambda *_: passes.LEAST_CERTAINTY - 0.01)
    assert any("Hardly any words" in note for note in adapt(None, tmp_path / "out", **options).notes)


def test_a_model_is_as_loud_as_it_was(starting_model):
    model = load_starting_model(starting_model).eval()
    encoder = imagining(model)
    faces, sounds = encoder.lips.faces, [noise(2.56), noise(2.56, 0.01)]
    level = spoken_level(model, encoder, faces, sounds)
    model.decoder.register_forward_hook(lambda decoder, given, made: 2 * made)
    assert spoken_level(model, encoder, faces, sounds) == pytest.approx(level + 6.02, abs=0.01)


def test_the_face_is_what_stays_the_same_whatever_is_said(starting_model, tmp_path):
    model = load_starting_model(starting_model).eval()
    encoder, extractor = imagining(model), Lip2WavFeatureExtractor()
    random = np.random.default_rng(0)
    files, clips = {}, []
    for number, frames in enumerate((25, 40)):
        clips.append(SimpleNamespace(key=str(number)))
        files[str(number)] = tmp_path / f"{number}.safetensors"
        regions = random.integers(0, 255, (frames, 48, 72), dtype=np.uint8)
        write_cached_clip(files[str(number)], CachedClip(regions, np.zeros(1, np.int16), np.zeros(frames, np.int8)))

    def pixels(cached):
        return torch.from_numpy(np.asarray(extractor.normalize(extractor.center_crop(cached.regions)), np.float32))

    sounds = [noise(2.0), noise(1.0)]
    face = faces_of(model, encoder, SimpleNamespace(clips=clips, files=files, pixels=pixels), sounds)
    with torch.no_grad():
        seen = []
        for file in files.values():
            hidden, logits, _ = model.encode(pixels(read_cached_clip(file))[None, :, None])
            seen += list(model.add_words(hidden, logits)[0])
        log_mel = LogMelSpectrogram(encoder.config)
        heard = [encoder.imagine_lips(log_mel.standardised(torch.from_numpy(sound)[None]))[0] for sound in sounds]
    expected = torch.stack(seen).mean(0) - torch.cat(heard).mean(0)
    assert face.shape == (1, len(expected)) and torch.allclose(face[0], expected, atol=1e-5)
    assert face.abs().max() > 1e-3
    anybody = faces_of(model, encoder, SimpleNamespace(clips=[]), sounds)
    assert torch.allclose(anybody, encoder.lips.faces - torch.cat(heard).mean(0), atol=1e-5)


def test_only_a_speech_encoder_of_its_own_imagines_what_a_model_sees(starting_model, imagining_model):
    model = load_starting_model(imagining_model)
    assert imagines_lips(imagining(model), model, imagining_model)
    assert not imagines_lips(None, model, imagining_model)
    assert not imagines_lips(imagining(model, 0), model, imagining_model)
    assert not imagines_lips(imagining(model, model.config.hidden_size + 1), model, imagining_model)
    assert not imagines_lips(imagining(model), model, starting_model)  # the one that was loaded is another's


@pytest.mark.parametrize("is_silent", [True, False])
def test_an_adaptation_learns_a_voice_from_its_sound(recordings, imagining_model, tmp_path, monkeypatch, is_silent):
    speech = [read_audio(recordings / f"{name}.mp4") for name in SENTENCES[1:3]]
    write_audio(tmp_path / "voice.wav", np.concatenate(speech), RATE)
    monkeypatch.setattr(passes, "convert", None)  # which is for models without such a speech encoder
    given, learn = [], passes.learn
    monkeypatch.setattr(passes, "learn", lambda task, follower: given.append(task) or learn(task, follower))
    folder = recordings
    if is_silent:
        folder = tmp_path / "silent"
        folder.mkdir()
        write_pictures(str(recordings / f"{SENTENCES[0]}.mp4"), folder / "first.mp4", Encoding())
        write_metadata(folder, [("first.mp4", " ".join(sentence_words(SENTENCES[0])))])
    options = {"model": imagining_model, "steps": 4, "final_pass": 0}
    result = adapt(folder, tmp_path / "voiced", voice=tmp_path / "voice.wav", **options)
    lips, voice = given
    assert lips.faces is None and voice.faces.shape == (1, 16) and (lips.steps, voice.steps) == (4, 1)
    assert bool(lips.training.silent) == is_silent
    assert [clip.speaker for clip in voice.training.clips] == ["voice"] and not voice.training.silent
    assert not any(each.requires_grad for each in voice.model.text_head.parameters())
    before, after = load_starting_model(imagining_model), load_starting_model(result.model)
    assert not torch.equal(before.decoder.projection.weight, after.decoder.projection.weight)
    assert torch.equal(voice.model.text_head.weight, after.text_head.weight)
    assert is_silent or (result.before.stoi is not None and result.after.stoi is None)
    assert is_silent or result.after.text_wer is not None
    assert any("The sound is not measured" in note for note in result.notes) != is_silent
    assert read_record(result.model).given_voice == 1


@pytest.fixture
def silent_folder(recordings, tmp_path):
    """A recording without sound, and a voice."""
    folder = tmp_path / "silent"
    folder.mkdir()
    write_pictures(str(recordings / f"{SENTENCES[0]}.mp4"), folder / "first.mp4", Encoding())
    write_metadata(folder, [("first.mp4", " ".join(sentence_words(SENTENCES[0])))])
    speech = [read_audio(recordings / f"{name}.mp4") for name in SENTENCES[1:3]]
    write_audio(tmp_path / "voice.wav", np.concatenate(speech), RATE)
    return folder


def test_whoever_stops_it_is_not_kept_waiting_for_a_voice(silent_folder, imagining_model, tmp_path):
    options = {"model": imagining_model, "steps": 4, "voice": tmp_path / "voice.wav"}
    stopped = adapt(silent_folder, tmp_path / "out", stop=lambda: True, **options)
    assert (stopped.stopped, stopped.steps, read_record(stopped.model).given_voice) == ("asked", 1, 0)
    assert any("stopped before it learnt the voice" in note for note in stopped.notes)
    assert not any("no copy" in note for note in stopped.notes)
    finished = adapt(silent_folder, tmp_path / "out", **options)
    assert (finished.stopped, finished.steps, finished.voice_steps) == ("finished", 4, 1)
    assert read_record(finished.model).given_voice == 1


def test_steps_that_learn_a_voice_count_in_a_later_call_too(silent_folder, imagining_model, tmp_path, monkeypatch):
    for name in ("first_pass", "give_voice"):
        learn = getattr(running, name)
        monkeypatch.setattr(running, name, lambda *given, learn=learn: replace(learn(*given), reason="time"))
    options = {"model": imagining_model, "steps": 4, "voice": tmp_path / "voice.wav"}
    for _ in range(2):  # the second goes on, since the time was over
        result = adapt(silent_folder, tmp_path / "out", **options)
        assert (result.stopped, result.steps, result.voice_steps) == ("time", 4, 1)
        assert not any("still the one" in note for note in result.notes)


def test_a_voice_alone_is_learnt_for_any_face(silent_folder, imagining_model, tmp_path, monkeypatch):
    given, learn = [], passes.learn
    monkeypatch.setattr(passes, "learn", lambda task, follower: given.append(task) or learn(task, follower))
    monkeypatch.setattr(passes, "certainty", lambda *_: passes.LEAST_CERTAINTY)
    said = []
    options = {"model": imagining_model, "voice": tmp_path / "voice.wav", "steps": 4, "minutes": 5}
    result = adapt(None, tmp_path / "out", **options, progress=said.append)
    (task,) = given
    assert task.faces.shape == (64, 16) and task.steps == 1 and not task.held_out.clips
    assert (result.steps, result.voice_steps, result.stopped) == (0, 1, "finished")
    assert (result.recordings, result.given_voice) == (0, 1)
    assert result.before is result.after is None and any("no copy" in note for note in result.notes)
    assert not any("Hardly any words" in note for note in result.notes)
    assert said[-1].stage == "saving" and said[-1].fraction == 1
    before, after = (load_starting_model(folder) for folder in (imagining_model, result.model))
    same = {name: torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items()}
    changed = {name.partition(".")[0] for name, is_same in same.items() if not is_same}
    assert changed == {"mel_decoder", "decoder"}
    assert after.config.to_json_string() == before.config.to_json_string()  # words, grammar, look-ahead
    card = (result.model / "README.md").read_text()
    assert "with a voice that `lip2wav adapt` has learnt from 1 sound file." in card
    assert "recorded" not in card.split("## Use")[0] and "0 recordings" not in card
    assert "\n1 step from the weights of `imagining`, in" in card
    assert "whoever speaks there must have agreed" in card and ", 6 s, of a voice." in card
    assert not (result.model / ".adaptation").exists()
    again = adapt(None, tmp_path / "out", **options)
    assert len(given) == 1 and again.minutes == result.minutes  # it was done


def test_a_stopped_voice_goes_on(silent_folder, imagining_model, tmp_path):
    options = {"model": imagining_model, "voice": tmp_path / "voice.wav", "steps": 10}
    stopped = adapt(None, tmp_path / "out", stop=lambda: True, **options)
    assert (stopped.stopped, stopped.voice_steps) == ("asked", 1)
    said = []
    finished = adapt(None, tmp_path / "out", **options, progress=said.append)
    assert (finished.stopped, finished.voice_steps) == ("finished", 3)
    steps = [each.message for each in said if each.step]
    assert steps[0] == "voice: step 2 of 3"
    whole = adapt(None, tmp_path / "whole", **options)
    again, once = (load_starting_model(made.model).state_dict() for made in (finished, whole))
    assert all(torch.allclose(again[name], once[name], atol=1e-3) for name in once)


def test_what_a_voice_alone_cannot_be_learnt_with(silent_folder, imagining_model, starting_model, tmp_path):
    options = {"model": imagining_model, "voice": tmp_path / "voice.wav", "steps": 4}
    for changes, message in (
        ({"voice": "https://example.com/a.wav"}, "it must be a file or a folder, not a URL. Download it first"),
        ({"voice": None}, "recordings=None: it must be a folder, or clips; or give a `voice`"),
        ({"phrases": ["bin blue"]}, r"`phrases` \(--phrases\) is of recordings, and there are none"),
        ({"final_pass": 0.0}, r"`final_pass` \(--final-pass\) is of recordings"),
        ({"live": True}, r"`live` \(--live\) is of recordings"),
        ({"model": starting_model}, "no speech encoder comes with it that imagines lips.*such as grid-s1"),
    ):
        with pytest.raises(AdaptationError, match=message):
            adapt(None, tmp_path / "out", **options | changes)
        assert not (tmp_path / "out").exists()
    other = shutil.copytree(imagining_model, tmp_path / "other")
    model = load_starting_model(other)
    imagining(model, model.config.hidden_size + 1).save_pretrained(other / "speech_encoder")
    with pytest.raises(AdaptationError, match="does not imagine what this model sees"):
        adapt(None, tmp_path / "out", **options | {"model": other})
    assert not (tmp_path / "out").exists()


def test_a_pipeline_speaks_with_a_voice(silent_folder, imagining_model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(adapt_module, "adapt", functools.partial(adapt, steps=4))
    speak = pipeline("video-to-speech", model=str(imagining_model))
    video, voice = str(silent_folder / "first.mp4"), tmp_path / "voice.wav"
    own = speak(video)["audio"]
    with caplog.at_level("WARNING"):
        given = speak(video, voice=voice)["audio"]
    assert "learning the voice of" in caplog.text and not np.array_equal(own, given)
    monkeypatch.setattr(adapt_module, "adapt", None)  # it is learnt once
    assert np.array_equal(speak(video, voice=str(voice))["audio"], given)
    assert np.array_equal(speak(video)["audio"], own)
    with pytest.raises(ValueError, match="voice=3: it must be a sound file or a folder of such, not an int"):
        speak(video, voice=3)
    monkeypatch.setattr(adapt_module, "adapt", adapt)
    caplog.clear()
    with pytest.raises(ValueError, match="no such file or folder"):
        speak(video, voice="absent.wav")
    assert "learning" not in caplog.text
    speak.model.name_or_path = ""
    with pytest.raises(ValueError, match="this model was made in memory"):
        speak(video, voice=tmp_path / "other.wav")
