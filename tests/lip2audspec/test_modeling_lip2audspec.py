"""The networks of Lip2AudSpec: shapes, saving, speaking."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, pipeline

from lip2audspec.sounds import speech_like
from lip2wav_hf import (
    Lip2AudSpecAutoencoder,
    Lip2AudSpecAutoencoderConfig,
    Lip2AudSpecConfig,
    Lip2AudSpecModel,
    Lip2WavFeatureExtractor,
)
from lip2wav_hf.grammar import GrammarError
from lip2wav_hf.lip2audspec.auditory import AuditoryError
from lip2wav_hf.lip2audspec.modeling_lip2audspec import scaled, with_differences
from lip2wav_hf.speaking import Speaker
from little_lip2audspec import TINY


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Lip2AudSpecModel(Lip2AudSpecConfig(**TINY)).eval()


def pictures(frames=12, batch=1):
    return torch.randn(batch, frames, 1, 40, 64, generator=torch.Generator().manual_seed(1))


def test_the_defaults_are_the_published_size():
    """3 x 128 x 128 x 5 in; 2048 features a frame; an LSTM of 512; 2048; 20 frames of 32 out (Akbari et al. 2018)."""
    config = Lip2AudSpecConfig()
    assert config.features_per_frame == 2048 and config.spectra_per_frame == 4
    with torch.device("meta"):
        model = Lip2AudSpecModel(config)
    assert model.slice_encoder.codes.weight.shape == (640, 2048)
    assert model.slice_encoder.dense.weight.shape == (2048, 2560)
    assert 12e6 < sum(each.numel() for each in model.parameters()) < 14e6


def test_the_autoencoder_keeps_32_numbers_of_128():
    autoencoder = Lip2AudSpecAutoencoder(Lip2AudSpecAutoencoderConfig()).eval()
    spectrogram = autoencoder.standardised(torch.from_numpy(speech_like(sampling_rate=8000)).float()[None])
    output = autoencoder(spectrogram)
    assert output.codes.shape == (1, 50, 32) and output.spectrogram.shape == (1, 50, 128)
    assert output.codes.min() > 0 and output.codes.max() < 1
    torch.testing.assert_close(autoencoder(spectrogram).spectrogram, output.spectrogram)  # no noise but in training
    autoencoder.train()
    assert not torch.equal(autoencoder(spectrogram).spectrogram, autoencoder(spectrogram).spectrogram)
    with pytest.raises(AuditoryError, match="128"):
        autoencoder(torch.zeros(1, 5, 80))


def test_differences_in_time():
    values = torch.tensor([1.0, 4.0, 6.0, 7.0]).view(1, 4, 1, 1).expand(1, 4, 2, 3)
    found = with_differences(values)
    assert found.shape == (1, 3, 4, 2, 3)
    assert found[0, :, :, 0, 0].tolist() == [[1, 4, 6, 7], [0, 3, 2, 1], [0, 3, -1, -1]]


def test_each_picture_is_scaled_by_itself():
    pair = torch.stack([torch.linspace(-3, 1, 6), torch.full((6,), 2.0)]).view(1, 2, 2, 3)
    found = scaled(pair, "frame")
    assert found[0, 0].min() == 0 and found[0, 0].max() == 1 and not found[0, 1].any()
    assert torch.equal(scaled(pair, "clip"), pair)


def test_speech_is_as_long_as_the_video(model):
    mask = torch.ones(2, 12)
    mask[1, 7:] = 0
    output = model(pictures(batch=2), mask)
    assert output.waveform.shape == (2, 12 * 320) and output.waveform_lengths.tolist() == [12 * 320, 7 * 320]
    assert output.codes.shape == (2, 48, 8) and output.spectrogram.shape == (2, 48, 128)
    assert not output.waveform[1, 7 * 320 :].any() and output.waveform[1, : 7 * 320].any()
    assert output.waveform.abs().max() <= 1


def test_a_slice_knows_nothing_of_others(model):
    """But for the differences of its first two pictures."""
    video = pictures(15)
    changed = video.clone()
    changed[:, 10:] = 0
    codes, other = model.predict_codes(video), model.predict_codes(changed)
    torch.testing.assert_close(codes[:, :40], other[:, :40])
    assert not torch.allclose(codes[:, 40:], other[:, 40:])


def test_chunks_find_the_same_codes(model):
    """Also where neither the video nor a chunk is a whole number of slices."""
    video, seen = pictures(23), []
    whole = model(video)
    chunked = model.synthesize(video, chunk_frames=6, progress=seen.append)
    torch.testing.assert_close(chunked.codes, whole.codes, rtol=1e-4, atol=1e-5)
    assert chunked.waveform.shape == whole.waveform.shape and seen == [10, 10, 3]
    assert torch.isfinite(chunked.waveform).all() and chunked.waveform[0, -100:].any()


def test_it_comes_back_as_it_was_saved(model, tmp_path):
    model.save_pretrained(tmp_path)
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*lip2audspec*.py"))  # its code stays in the package
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is Lip2AudSpecModel and not again.training
    torch.testing.assert_close(again(pictures()).waveform, model(pictures()).waveform)


def test_the_pipeline_and_the_command_speak_with_it(model, tmp_path, talking_video):
    model.save_pretrained(tmp_path)
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    speak = pipeline("video-to-speech", model=str(tmp_path), device="cpu")
    spoken = speak(talking_video)
    assert spoken["sampling_rate"] == 8000 and spoken["text"] == "" and spoken["words"] == []
    assert spoken["audio"].dtype == np.float32 and np.abs(spoken["audio"]).max() > 0
    light = Speaker.from_folder(tmp_path, "cpu")
    np.testing.assert_allclose(light([talking_video])[0]["audio"], spoken["audio"], atol=1e-5)
    with pytest.raises(GrammarError, match="reads no words"):
        speak(talking_video, phrases=["bin blue"])
    speak.save_pretrained(tmp_path / "saved")
    assert pipeline("video-to-speech", model=str(tmp_path / "saved"), device="cpu")(talking_video)["words"] == []


def test_it_takes_no_voice(model):
    with pytest.raises(ValueError, match="speaker_embedding"):
        model.synthesize(pictures(), speaker_embedding=torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"picture_scale": "none"}, "picture_scale"),
        ({"pool_after": [1, 3]}, "pool_after"),
        ({"pool_after": [1, 1]}, "pool_after"),
        ({"conv_channels": []}, "conv_channels"),
        ({"image_height": 2}, "cannot be halved"),
        ({"picture_pooling": 3}, "picture_pooling"),
        ({"sampling_rate": 8010}, "multiple"),
        ({"frame_ms": 15.0}, "whole number"),
        ({"spectrogram_std": 0.0}, "spectrogram_std"),
        ({"code_size": 0}, "code_size"),
    ],
)
def test_fields_that_contradict_each_other(fields, named):
    with pytest.raises(Exception, match=named):
        Lip2AudSpecConfig(**(TINY | fields))


def test_pictures_of_another_size(model):
    with pytest.raises(AuditoryError, match="40, 64"):
        model(torch.zeros(1, 5, 1, 20, 64))
