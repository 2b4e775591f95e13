"""The networks: what holds for every one of them, and what is particular to the generator."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file

from lip2wav_hf import Lip2WavConfig, Lip2WavModel
from lip2wav_hf.decoding import GrammarDecoder, best_path
from lip2wav_hf.encoders import ClipNorm, ResidualBlock
from lip2wav_hf.grammar import Grammar


TINY = {
    "image_height": 16,
    "image_width": 16,
    "hidden_size": 32,
    "stem_channels": 8,
    "visual_channels": [8, 16],
    "vocabulary": ["one", "two", "three"],
}
CONFIGS = {
    "istft": TINY
    | {
        "num_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "attention_window": 3,
        "num_mel_layers": 1,
        "num_mel_bins": 20,
        "num_decoder_layers": 1,
        "griffin_lim_iterations": 2,
        "mirror_average": True,
        "kernel_size": 3,
    },
    "istft with a speaker": TINY
    | {
        "num_layers": 1,
        "num_attention_heads": 2,
        "num_mel_layers": 1,
        "num_decoder_layers": 1,
        "speaker_embedding_size": 6,
    },
    "istft of the person's own statistics": TINY
    | {
        "num_layers": 1,
        "num_attention_heads": 2,
        "num_mel_layers": 1,
        "num_decoder_layers": 1,
        "visual_normalization": "clip",
    },
    "frame": TINY | {"decoder_type": "frame", "decoder_channels": 16, "decoder_strides": [4, 4, 4, 4]},
}
PRESET = Path(__file__).parents[1] / "configs" / "vougioukas2019.json"


@pytest.fixture(params=CONFIGS)
def config(request):
    return Lip2WavConfig(**CONFIGS[request.param])


def build(config):
    torch.manual_seed(0)
    return Lip2WavModel(config).eval()


def inputs(config, batch=2, frames=9):
    generator = torch.Generator().manual_seed(1)
    shape = (batch, frames, 1, config.image_height, config.image_width)
    given = {"pixel_values_videos": torch.randn(shape, generator=generator)}
    if config.speaker_embedding_size:
        given["speaker_embedding"] = torch.randn((batch, config.speaker_embedding_size), generator=generator)
    return given


@torch.no_grad()
def test_shapes_and_range(config):
    output = build(config)(**inputs(config))
    samples = 9 * config.samples_per_frame
    assert output.waveform.shape == (2, samples)
    assert output.waveform_lengths.tolist() == [samples, samples]
    assert output.text_logits.shape == (2, 9, 4)
    assert output.waveform.abs().max() <= 1


@torch.no_grad()
def test_outputs_are_deterministic(config):
    model = build(config)
    first, second = model(**inputs(config)), model(**inputs(config))
    assert torch.equal(first.waveform, second.waveform)


@torch.no_grad()
def test_save_and_load_give_the_same_output(config, tmp_path):
    model = build(config)
    model.save_pretrained(tmp_path)
    loaded = Lip2WavModel.from_pretrained(tmp_path).eval()
    assert loaded.config.to_dict()["visual_channels"] == [8, 16]
    assert torch.equal(model(**inputs(config)).waveform, loaded(**inputs(config)).waveform)


@torch.no_grad()
def test_half_precision_weights_round_trip(config, tmp_path):
    build(config).to(torch.float16).save_pretrained(tmp_path)
    loaded = Lip2WavModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert torch.isfinite(loaded(**inputs(config)).waveform).all()


@torch.no_grad()
def test_a_padded_batch_equals_single_clips(config):
    model, given = build(config), inputs(config)
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[1, 5:] = 0
    given["pixel_values_videos"][1, 5:] = 0
    together = model(**given, frame_mask=mask)
    alone = model(
        **{name: value[1:, :5] if name == "pixel_values_videos" else value[1:] for name, value in given.items()}
    )
    samples = 5 * config.samples_per_frame
    assert together.waveform_lengths.tolist() == [9 * config.samples_per_frame, samples]
    assert torch.allclose(together.waveform[1, :samples], alone.waveform[0], atol=1e-5)
    assert together.waveform[1, samples:].abs().max() == 0
    assert torch.allclose(together.text_logits[1, :5], alone.text_logits[0], atol=1e-5)


def test_missing_weights_and_buffers_are_initialised(config):
    fresh = build(config)
    torch.manual_seed(0)
    loaded = Lip2WavModel.from_pretrained(None, config=config, state_dict={}).eval()
    for name, value in fresh.named_parameters():
        other = loaded.get_parameter(name)
        assert torch.isfinite(other).all(), name
        assert torch.isclose(other.std(unbiased=False), value.std(unbiased=False), rtol=0.5, atol=1e-3), name
    for name, value in fresh.named_buffers():
        assert torch.equal(loaded.get_buffer(name), value), name


def test_gradient_reaches_every_parameter(config):
    model = build(config).train()
    output = model(**inputs(config))
    (output.waveform.square().sum() + output.text_logits.square().sum()).backward()
    without = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@torch.no_grad()
def test_bfloat16(config):
    model, given = build(config), inputs(config)
    exact = model(**given).text_logits
    rounded = model.to(torch.bfloat16)(**{name: value.to(torch.bfloat16) for name, value in given.items()})
    assert torch.isfinite(rounded.waveform).all()
    assert torch.allclose(rounded.text_logits.float(), exact, atol=0.05 * exact.abs().max() + 0.05)


@torch.no_grad()
def test_statistics_of_the_clip_make_contrast_fall_away():
    differences = {}
    for normalization in ("clip", "batch"):
        model = build(Lip2WavConfig(**CONFIGS["istft"] | {"visual_normalization": normalization}))
        given = inputs(model.config)
        pale = given | {"pixel_values_videos": 0.5 * given["pixel_values_videos"]}
        difference = model(**given).text_logits - model(**pale).text_logits
        differences[normalization] = difference.abs().max()
    assert differences["clip"] < 1e-3 < differences["batch"]


@torch.no_grad()
def test_one_pixel_of_one_frame_has_statistics_too():
    config = Lip2WavConfig(**CONFIGS["istft"] | {"visual_normalization": "clip", "image_height": 8, "image_width": 8})
    assert torch.isfinite(build(config)(**inputs(config, batch=1, frames=1)).waveform).all()


@torch.no_grad()
def test_chunks_equal_the_whole():
    config = Lip2WavConfig(**CONFIGS["istft"])
    model, given = build(config), inputs(config, frames=150)
    whole, steps = model(**given), []
    chunked = model.synthesize(**given, chunk_frames=40, progress=steps.append)
    assert config.context_frames < 55  # the chunks below really are cut
    assert sum(steps) == 150
    assert torch.allclose(chunked.waveform, whole.waveform, atol=1e-4)
    assert torch.allclose(chunked.text_logits, whole.text_logits, atol=1e-4)


@torch.no_grad()
def test_an_output_depends_on_its_context_only():
    config = Lip2WavConfig(**CONFIGS["istft"])
    model, given = build(config), inputs(config, batch=1, frames=150)
    before = model(**given).waveform
    given["pixel_values_videos"][:, 140:] += 1
    difference = (model(**given).waveform - before)[0].abs()
    first = (140 - config.context_frames) * config.samples_per_frame
    assert difference[:first].max() < 1e-5
    assert difference[first:].max() > 1e-3


@torch.no_grad()
def test_a_mirrored_clip_sounds_the_same_with_mirror_average():
    config = Lip2WavConfig(**CONFIGS["istft"])
    model, given = build(config), inputs(config)
    mirrored = {"pixel_values_videos": given["pixel_values_videos"].flip(-1)}
    assert torch.allclose(model(**given).waveform, model(**mirrored).waveform, atol=1e-5)
    config.mirror_average = False
    assert not torch.allclose(model(**given).waveform, model(**mirrored).waveform, atol=1e-5)


@torch.no_grad()
def test_griffin_lim_brings_magnitudes_nearer_to_the_predicted_ones():
    config = Lip2WavConfig(**CONFIGS["istft"])
    decoder = build(config).decoder
    mel, mask = torch.randn(1, 60, 20, generator=torch.Generator().manual_seed(2)), torch.ones(1, 60, 1)
    wanted = decoder.spectrum(mel, mask)[0].exp()
    errors = [(decoder.analyse(decoder(mel, mask, count)).abs() - wanted).norm() for count in (0, 4, 30)]
    assert errors[2] < errors[1] < errors[0]


@torch.no_grad()
def test_analysis_and_overlap_add_are_inverse():
    decoder = build(Lip2WavConfig(**CONFIGS["istft"])).decoder
    waveform = torch.randn(2, 20 * decoder.hop_length, generator=torch.Generator().manual_seed(3))
    restored = decoder.overlap_add(decoder.analyse(waveform), torch.ones(2, 20, 1))
    assert torch.allclose(restored, waveform, atol=1e-4)


@pytest.mark.parametrize(("batch", "frames"), [(1, 3), (2, 20)])
def test_the_frame_decoder_learns_in_half_precision_too(batch, frames):
    """A 3-D convolution in oneDNN has no finite gradient in bfloat16 over fewer frames than its kernel."""
    config = Lip2WavConfig(decoder_type="frame", decoder_channels=16)
    model, given = build(config).train(), inputs(config, batch, frames)
    with torch.autocast("cpu", torch.bfloat16):
        waveform = model(**given).waveform
    (waveform.float() - torch.randn(waveform.shape)).abs().mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["visual_encoder.blocks.0.weight"].any()


@pytest.mark.parametrize("window", ["rectangular", "hann"])
def test_audio_frames_that_overlap_by_half_are_joined(window):
    config = Lip2WavConfig(**TINY | {"decoder_type": "frame", "decoder_channels": 16, "frame_window": window})
    decoder, hop = build(config).decoder, config.samples_per_frame
    hidden, mask = torch.randn(1, 3, config.hidden_size), torch.ones(1, 3, 1)
    with torch.no_grad():
        joined = decoder(hidden, mask)[0]
        pieces = decoder.blocks(decoder.projection(hidden).view(3, decoder.channels, decoder.start))[:, 0]
    assert joined.shape == (3 * hop,)
    fade = torch.hann_window(2 * hop)[:hop] if window == "hann" else torch.full((hop,), 0.5)
    between = fade * pieces[1, :hop] + (1 - fade) * pieces[0, hop:]  # centres of two frames, a hop apart
    assert torch.allclose(joined[hop // 2 : hop // 2 + hop], between, atol=1e-6)
    assert torch.allclose(joined[: hop // 2], pieces[0, hop // 2 : hop], atol=1e-6)  # no neighbour before the first
    assert torch.allclose(joined[-(hop // 2) :], pieces[2, hop : hop + hop // 2], atol=1e-6)


def test_decode_text_merges_frames_and_drops_blanks():
    model = build(Lip2WavConfig(**CONFIGS["istft"]))
    classes = torch.tensor([[0, 2, 2, 0, 2, 1, 1, 1, 0, 3]])
    logits = torch.nn.functional.one_hot(classes, 4) * 20.0
    words = model.decode_text(logits)[0]
    assert [word["word"] for word in words] == ["two", "two", "one", "three"]
    assert (words[2]["start"], words[2]["end"]) == (pytest.approx(0.2), pytest.approx(0.32))
    assert all(word["confidence"] > 0.99 for word in words)
    shortened = model.decode_text(logits, torch.tensor([[1] * 8 + [0] * 2]))[0]
    assert [word["word"] for word in shortened] == ["two", "two", "one"]


def test_best_path_weighs_flicker_against_the_penalty():
    scores = np.log([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    assert best_path(scores, 0.0).tolist() == [0, 1, 0, 1, 1]
    # Staying costs log(0.6 / 0.4) = 0.41 once, changing there and back twice the penalty.
    assert best_path(scores, 0.2).tolist() == [0, 1, 0, 1, 1]
    assert best_path(scores, 0.3).tolist() == [0, 0, 0, 1, 1]
    # Class 1 throughout loses 2 log 9 - log(0.6 / 0.4) = 3.99 to one change after the third frame.
    assert best_path(scores, 3.9).tolist() == [0, 0, 0, 1, 1]
    assert best_path(scores, 4.1).tolist() == [1, 1, 1, 1, 1]
    assert best_path(scores[:0], 1.0).tolist() == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pixel_values_videos": torch.zeros(1, 5, 3, 16, 16)}, "pixel_values_videos"),
        ({"pixel_values_videos": torch.zeros(1, 0, 1, 16, 16)}, "1 frame or more"),
        ({"frame_mask": torch.ones(2, 4)}, "frame_mask"),
        ({"speaker_embedding": torch.ones(2, 6)}, "speaker_embedding"),
    ],
)
def test_wrong_inputs_are_named(change, complaint):
    config = Lip2WavConfig(**CONFIGS["istft"])
    with pytest.raises(ValueError, match=complaint):
        build(config)(**(inputs(config) | change))


def test_a_missing_speaker_is_named():
    config = Lip2WavConfig(**CONFIGS["istft with a speaker"])
    with pytest.raises(ValueError, match="speaker_embedding"):
        build(config)(pixel_values_videos=inputs(config)["pixel_values_videos"])


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"decoder_type": "wavenet"}, "decoder_type"),
        ({"sampling_rate": 16001}, "multiple of `frame_rate`"),
        ({"frame_rate": 0.0}, "frame_rate"),
        ({"frame_window": "triangular"}, "frame_window"),
        ({"hop_length": 150}, "hop_length"),
        ({"kernel_size": 4}, "odd"),
        ({"hidden_size": 100}, "num_attention_heads"),
        ({"image_width": 31}, "even"),
        ({"visual_normalization": "person"}, "visual_normalization"),
        ({"decoder_type": "frame", "decoder_strides": [7]}, "decoder_strides"),
    ],
)
def test_contradictory_configs_are_refused(fields, complaint):
    with pytest.raises(Exception, match=complaint):
        Lip2WavConfig(**fields)


def test_the_config_refuses_wrong_types():
    with pytest.raises(Exception, match="hidden_size"):
        Lip2WavConfig(hidden_size="large")


@torch.no_grad()
def test_the_2019_preset_speaks_at_50_khz():
    config = Lip2WavConfig.from_json_file(PRESET)
    assert (config.decoder_type, config.sampling_rate, config.samples_per_frame) == ("frame", 50000, 2000)
    output = build(config)(torch.zeros(1, 3, 1, 96, 128))
    assert output.waveform.shape == (1, 6000)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_are_saved_as_small_as_they_are_exact(tmp_path, dtype):
    """A published model, saved in half precision and loaded as float32, does not grow by being saved again."""
    model = Lip2WavModel(Lip2WavConfig(**CONFIGS["istft"])).to(dtype).float()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {each.dtype for each in saved.values() if each.is_floating_point()} == {dtype}
    again = Lip2WavModel.from_pretrained(tmp_path, dtype="auto")
    assert again.dtype == torch.float32
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name


PLAIN = CONFIGS["istft"] | {"mirror_average": False, "griffin_lim_iterations": 0}


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("clips", "threads"), [(1, 2), (2, 4)])
def test_one_clip_is_spoken_with_half_of_the_threads(four_threads, clips, threads):
    model, used = build(Lip2WavConfig(**PLAIN)).eval(), set()
    model.decoder.register_forward_hook(lambda *_: used.add(torch.get_num_threads()))
    video = torch.zeros(clips, 5, 1, model.config.image_height, model.config.image_width)
    model.synthesize(video)
    assert used == {threads} and torch.get_num_threads() == 4
    with pytest.raises(ValueError):
        model.synthesize(video[:, :, 0])
    assert torch.get_num_threads() == 4


@pytest.fixture
def told():
    """A generator whose decoder is told the words, and a clip."""
    model = build(Lip2WavConfig(**PLAIN, word_conditioning=True)).eval()
    torch.nn.init.normal_(model.word_projection.weight)  # as if trained: words make a difference
    height, width = model.config.image_height, model.config.image_width
    return model, torch.randn(1, 30, 1, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_decoder_says_the_words_that_it_is_told(told):
    model, clip = told
    as_read = model(clip)
    probabilities = as_read.text_logits.softmax(-1)
    same = model(clip, word_probabilities=probabilities)
    assert torch.allclose(as_read.waveform, same.waveform, atol=1e-6)
    other = model(clip, word_probabilities=probabilities.roll(1, -1))
    assert (other.waveform - as_read.waveform).abs().max() > 1e-4
    assert torch.equal(other.text_logits, as_read.text_logits)  # what is read does not depend on what is said


@torch.no_grad()
@pytest.mark.parametrize("chunk_frames", [250, 7])
def test_a_grammar_is_said_in_chunks_too(told, chunk_frames):
    model, clip = told
    decoder = GrammarDecoder(Grammar.of(["one two", "three"]), model.config.units)
    spoken = model.synthesize(clip, chunk_frames=chunk_frames, grammar=decoder)
    posteriors = torch.from_numpy(decoder.posteriors(model(clip).text_logits[0].log_softmax(-1).numpy())).float()
    expected = model(clip, word_probabilities=posteriors[None]).waveform
    inner = slice(2 * model.config.samples_per_frame, -2 * model.config.samples_per_frame)
    assert torch.allclose(spoken.waveform[:, inner], expected[:, inner], atol=1e-4)
    plain = model.synthesize(clip, chunk_frames=chunk_frames)
    assert (plain.waveform - spoken.waveform).abs().max() > 1e-4


def test_without_conditioning_a_grammar_changes_the_words_alone():
    model = build(Lip2WavConfig(**CONFIGS["istft"])).eval()
    clip = torch.randn(1, 20, 1, model.config.image_height, model.config.image_width)
    decoder = GrammarDecoder(Grammar.of(["one two", "three"]), model.config.units)
    plain, spoken = model.synthesize(clip), model.synthesize(clip, grammar=decoder)
    assert torch.equal(plain.waveform, spoken.waveform)
    words = " ".join(word["word"] for word in model.decode_text(plain.text_logits, grammar=decoder)[0])
    assert words in ("one two", "three")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"word_conditioning": True, "decoder_type": "frame"}, "word_conditioning"),
        ({"grammar": "public <s> = one four;", "vocabulary": ["one"]}, "not in `vocabulary`: four"),
        ({"grammar": "one two"}, "JSGF grammar"),
    ],
)
def test_a_grammar_must_suit_the_model(fields, message):
    with pytest.raises(Exception, match=message):
        Lip2WavConfig(**fields)


def test_our_models_load_without_a_progress_bar(tiny_model_dir, capfd):
    """And whoever wants to see other models load still does."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    try:
        Lip2WavModel.from_pretrained(tiny_model_dir)
        assert capfd.readouterr().err == ""
        assert logging.is_progress_bar_enabled()
    finally:
        if not shown:
            logging.disable_progress_bar()


BOUNDED = CONFIGS["istft"] | {"griffin_lim_iterations": 0, "mirror_average": False, "word_conditioning": True}


@pytest.mark.parametrize("normalization", ["batch", "clip"])
@pytest.mark.parametrize("look_ahead", [0, 1, 3])
@torch.no_grad()
def test_speech_depends_on_no_frame_beyond_the_look_ahead(look_ahead, normalization):
    model = build(Lip2WavConfig(**BOUNDED | {"visual_normalization": normalization}))
    pixels = inputs(model.config, batch=1, frames=20)["pixel_values_videos"]
    before, least = model(pixels, look_ahead=look_ahead).waveform[0], look_ahead
    for frame in range(6, 14):
        changed = pixels.clone()
        changed[:, frame] += 1
        different = (model(changed, look_ahead=look_ahead).waveform[0] != before).nonzero()
        first = int(different[0]) // model.config.samples_per_frame
        assert frame - look_ahead <= first
        least = min(least, first - frame + look_ahead)
    assert least == 0  # all of it is used


@torch.no_grad()
def test_a_look_ahead_of_the_whole_clip_is_that_of_a_chunk():
    """A chunk of all frames is the clip itself, but for the first sounds: those of the chunk before it."""
    model = build(Lip2WavConfig(**BOUNDED))
    pixels = inputs(model.config)["pixel_values_videos"]
    whole, bounded = model(pixels), model(pixels, look_ahead=100)
    assert torch.allclose(whole.text_logits, bounded.text_logits, atol=1e-5)
    assert torch.equal(whole.waveform, model(pixels, look_ahead=None).waveform)
    assert not torch.allclose(whole.text_logits, model(pixels, look_ahead=1).text_logits, atol=1e-3)


@pytest.mark.parametrize("normalization", ["batch", "clip"])
@torch.no_grad()
def test_a_padded_clip_is_as_alone_with_a_bounded_look_ahead(normalization):
    model = build(Lip2WavConfig(**BOUNDED | {"visual_normalization": normalization, "look_ahead": 3}))
    pixels = inputs(model.config, frames=14)["pixel_values_videos"]
    mask = torch.ones(2, 14)
    mask[1, 9:] = 0
    padded = model(pixels * mask[..., None, None, None], mask).waveform[1, : 9 * model.config.samples_per_frame]
    assert torch.allclose(padded, model(pixels[1:, :9]).waveform[0], atol=1e-5)


def test_look_ahead_is_refused_where_it_cannot_be_bounded():
    for name in ("istft", "frame"):
        with pytest.raises(StrictDataclassClassValidationError, match="`look_ahead` needs"):
            Lip2WavConfig(**CONFIGS[name] | {"look_ahead": 3})
    with pytest.raises(StrictDataclassClassValidationError, match="0 or more, or None"):
        Lip2WavConfig(**BOUNDED | {"look_ahead": -1})
    config = Lip2WavConfig(**CONFIGS["frame"])
    with pytest.raises(ValueError, match="look_ahead"):
        build(config)(**inputs(config), look_ahead=2)


def test_small_networks_learn_with_several_threads():
    """In a process of its own: the gradient of a small convolution with a stride destroyed memory there."""
    code = (
        "import torch\nfrom lip2wav_hf.encoders import ClipNorm, ResidualBlock\ntorch.set_num_threads(2)\n"
        "for channels in (4, 8, 15):\n"
        "    for _ in range(150):\n"
        "        pictures = torch.randn(75, channels, 10, 16).contiguous(memory_format=torch.channels_last)\n"
        "        block = ResidualBlock(channels, 2 * channels, ClipNorm)\n"
        "        block(pictures.requires_grad_(), lambda norm, seen: norm(seen, [75])).sum().backward()\n"
        "print('learnt')"
    )
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # else they turn in circles where there are few cores
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0 and done.stdout.endswith("learnt\n"), (done.returncode, done.stderr[-2000:])


def test_a_small_shortcut_is_that_of_a_convolution_with_a_stride():
    pictures = torch.randn(3, 8, 10, 16)
    block = ResidualBlock(8, 16, ClipNorm).requires_grad_(False)
    direct = F.conv2d(pictures, block.shortcut.weight, stride=2)
    nothing = lambda norm, seen: torch.zeros_like(seen)  # noqa: E731
    assert torch.equal(block(pictures, nothing), F.silu(direct))
