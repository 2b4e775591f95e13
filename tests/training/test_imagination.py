"""How a speech encoder learns to imagine the lips of what it hears."""

import json

import pytest
import torch

from lip2wav_hf import (
    Lip2WavConfig,
    Lip2WavFeatureExtractor,
    Lip2WavModel,
    Lip2WavSpeechEncoder,
    Lip2WavSpeechEncoderConfig,
)
from lip2wav_hf.errors import WeightsError
from lip2wav_hf.grammar import VOCABULARY
from lip2wav_hf.models import CHECKPOINTS, load_network
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training import objectives
from lip2wav_hf.training.arguments import AugmentationArguments, LossArguments, TrainingError
from lip2wav_hf.training.dataset import UNKNOWN_CLASS, collate_clips
from lip2wav_hf.training.imagination import LipTeacher, show_faces
from lip2wav_hf.training.networks import build_model, plan_networks
from lip2wav_hf.training.objectives import SpeechEncoderObjective, vary_voice

from .runs import TINY_MODEL, clips_of, losses_of, run


TINY_ENCODER = {"hidden_size": 12, "num_layers": 2, "kernel_size": 3, "num_mel_bins": 10}
LIPS_ALONE = {"ctc": 0.0, "words": 0.0, "lip_states": 0.5}
OPTIONS = ("--network", "speech_encoder", "--ctc", 0, "--words", 0, "--lip_states", 1)


def generator(**changes):
    torch.manual_seed(0)
    return Lip2WavModel(Lip2WavConfig(**TINY_MODEL | {"dropout": 0.5, "word_conditioning": True} | changes))


def encoder(**changes):
    torch.manual_seed(0)
    return Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(**TINY_ENCODER | {"lip_states_size": 16} | changes))


@pytest.fixture
def batch(cached_clip):
    """A clip of 75 frames, and the first 30 of it, padded."""
    whole = clips_of(cached_clip)[0]
    short = whole | {
        "pixel_values_videos": whole["pixel_values_videos"][:30],
        "waveform": whole["waveform"][: 30 * 640],
        "frame_classes": whole["frame_classes"][:30],
    }
    return collate_clips([whole, short])


@pytest.fixture
def generator_dir(tmp_path):
    """A saved generator with random weights, and an extractor that makes its crops."""
    folder = tmp_path / "generator"
    generator().save_pretrained(folder)
    Lip2WavFeatureExtractor(normalization_window=100).save_pretrained(folder)
    return folder


def test_what_is_seen_is_told_without_the_face(batch):
    teacher = LipTeacher(generator()).train()
    assert not teacher.generator.training and not any(each.requires_grad for each in teacher.parameters())
    told, mask = teacher(batch)
    assert told.shape == (2, 75, 16) and not told.requires_grad and mask[:, :, 0].equal(batch["frame_mask"].float())
    assert torch.allclose((told * mask).sum(1), torch.zeros(2, 16), atol=1e-4)
    hidden, text_logits, _ = teacher.generator.encode(batch["pixel_values_videos"][1:, :30])
    alone = teacher.generator.add_words(hidden, text_logits)
    assert not torch.allclose(alone, hidden, atol=1e-3)  # the words are in it
    assert torch.allclose(told[1, :30], (alone - alone.mean(1, keepdim=True))[0], atol=1e-4)
    batch["has_sound"] = torch.tensor([True, False])
    assert LipTeacher.forward(teacher, batch)[1].sum((1, 2)).tolist() == [75, 0]


def test_the_loss_is_one_without_imagination(batch):
    """The states have no mean, so one that is imagined adds its own square."""
    objective = SpeechEncoderObjective(encoder(), LossArguments(**LIPS_ALONE), generator()).eval()
    projection = objective.model.lips.projection
    torch.nn.init.zeros_(projection.weight)
    torch.nn.init.zeros_(projection.bias)
    losses, clips = objective.validate(batch)
    assert set(losses) == {"lip_states"} and losses["lip_states"].item() == pytest.approx(0.5)
    assert objective.measures(clips) == {"lip_states_r2": pytest.approx(0, abs=1e-6)}
    told, mask = objective.teacher(batch)
    squares = (told.square() * mask).sum()
    torch.nn.init.constant_(projection.bias, 0.1)
    expected = 1 + 0.01 * 105 * 16 / squares.item()
    losses, clips = objective.validate(batch)
    assert losses["lip_states"].item() == pytest.approx(0.5 * expected, rel=1e-4)
    assert objective.measures(clips) == {"lip_states_r2": pytest.approx(1 - expected, rel=1e-3)}
    assert len(clips) == 2 and clips[0][1] + clips[1][1] == pytest.approx(squares.item())


def test_a_perfect_imagination_costs_nothing(batch, monkeypatch):
    objective = SpeechEncoderObjective(encoder(), LossArguments(**LIPS_ALONE), generator()).eval()
    told, _ = objective.teacher(batch)
    monkeypatch.setattr(objective.model, "imagine_lips", lambda mel, frame_mask: told)
    losses, clips = objective.validate(batch)
    assert losses["lip_states"] == 0 and objective.measures(clips) == {"lip_states_r2": 1}


def test_the_head_alone_learns(batch):
    objective = SpeechEncoderObjective(encoder(dropout=0.5), LossArguments(**LIPS_ALONE), generator()).train()
    assert objective.model.lips.block.training and not any(block.training for block in objective.model.blocks)
    output = objective(batch)
    assert output.text_logits is None and not output.lip_sums.requires_grad
    output.losses["lip_states"].backward()
    learnt = {name for name, weight in objective.named_parameters() if weight.grad is not None}
    assert learnt == {f"model.lips.{name}" for name, _ in objective.model.lips.named_parameters()}
    assert all(weight.grad.any() for weight in objective.model.lips.parameters())
    objective.eval()
    assert not objective.model.lips.block.training


def test_words_and_lips_may_be_learnt_together(batch):
    weights = LossArguments(ctc=0.0, words=1.0, lip_states=1.0)
    objective = SpeechEncoderObjective(encoder(), weights, generator()).train()
    assert all(block.training for block in objective.model.blocks)
    assert set(objective(batch).losses) == {"words", "lip_states"}
    other = objective.with_model(encoder()).eval()
    assert other.teacher.generator is objective.teacher.generator
    measures = other.measures(other.validate(batch)[1])
    assert set(measures) == {"text_wer", "lip_states_r2"} and measures["text_wer"] > 0


def test_what_weighs_nothing_is_not_computed(batch, monkeypatch):
    objective = SpeechEncoderObjective(encoder(), LossArguments(ctc=0.0, words=1.0)).train()
    sentences = batch | {"frame_classes": torch.full_like(batch["frame_classes"], UNKNOWN_CLASS)}
    assert set(objective(sentences).losses) == {"words"}
    monkeypatch.setattr(objectives, "ctc_loss", None)
    assert set(objective(batch).losses) == set(objective.eval()(sentences).losses) == {"words"}
    monkeypatch.setattr(objectives, "frame_word_loss", None)
    monkeypatch.setattr(objective.model, "forward", None)
    alone = SpeechEncoderObjective(objective.model, LossArguments(ctc=0.0, words=0.0))
    assert alone(batch).losses == {}


def test_voices_are_stretched_and_tilted(monkeypatch):
    mel = torch.zeros(2, 3, 80)
    mel[:, :, 40] = 1.0
    varied = vary_voice(mel)
    assert varied.shape == mel.shape and (varied[:, 0] - mel[:, 0]).abs().mean() > 0.01
    monkeypatch.setattr(objectives.torch, "randn", lambda *shape, **_: torch.zeros(*shape))
    monkeypatch.setattr(objectives.torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(objectives.torch, "rand", lambda shape, **_: torch.tensor([0.0, 0.5] if shape else 0.0))
    stretched = vary_voice(mel)  # each clip by its own factor: exp(-0.3) and 1
    assert torch.allclose(stretched[1], mel[1], atol=1e-4) and stretched[0, 0].argmax() == 54
    monkeypatch.setattr(objectives.torch, "rand", lambda *shape, **_: torch.ones(*shape))
    stretched = vary_voice(mel)
    assert stretched.count_nonzero() == 2 * 2 * 3  # band j is what was at (j + 1/2) exp(0.3) - 1/2: 39.32 and 40.67
    assert torch.allclose(stretched[0, 0, 29:31], torch.tensor([0.3208, 0.3293]), atol=1e-3)
    monkeypatch.setattr(objectives.torch, "randn", lambda *shape, **_: torch.ones(*shape))
    tilted = vary_voice(torch.zeros(1, 1, 3))  # a tilt of 0.3, and 0.3 louder
    assert torch.allclose(tilted, torch.tensor([[[0.0, 0.3, 0.6]]]), atol=1e-6)


def test_a_speech_encoder_hears_clips_whose_pictures_stay_as_they_are(cached_clip):
    """For what is seen of them is what it is to imagine."""
    plain = clips_of(cached_clip)[0]["pixel_values_videos"]
    choices = AugmentationArguments(stretch_probability=0, splice_probability=0, window_frames=0, bend=2.0)
    for name, same in (("speech_encoder", True), ("generator", False)):
        varied = clips_of(cached_clip, choices.of_network(name))[0]["pixel_values_videos"]
        assert torch.allclose(varied, plain, atol=1e-5) is same
    assert choices.of_network("generator") == choices
    assert choices.of_network("speech_encoder").speaker_probability == choices.speaker_probability
    everything = AugmentationArguments()
    cut = [clips_of(cached_clip, each)[0] for each in (everything, everything.of_network("speech_encoder"))]
    assert torch.equal(cut[0]["waveform"], cut[1]["waveform"]) and cut[0]["stretch"] == cut[1]["stretch"]


def test_lips_are_learnt_saved_and_learnt_on(recipe, generator_dir, tmp_path):
    config = tmp_path / "encoder.json"
    config.write_text(json.dumps(TINY_ENCODER))
    words = run(recipe, tmp_path / "words", "--network", "speech_encoder", "--config", config, "--max_steps", 1)
    before = words.average.model.state_dict()
    assert words.average.model.lips is None
    options = [*OPTIONS, "--pretrained", tmp_path / "words" / "final", "--lips_of", generator_dir]
    options += ["--learning_rate", 0.01, "--splice_probability", 0, "--batch_size", 4]
    output = tmp_path / "lips"
    losses = losses_of(recipe, output, *options, "--max_steps", 40)
    assert all(set(each) == {"lip_states"} for each in losses)
    values = [each["lip_states"] for each in losses]
    assert values[0] > 0.9 and sum(values[-8:]) / 8 < 0.9 * values[0]
    saved = Lip2WavSpeechEncoder.from_pretrained(output / "final").eval()
    assert saved.config.lip_states_size == 16
    after = saved.state_dict()
    faces = saved.lips.faces
    assert faces.shape == (64, 16) and faces.abs().amax(1).min() > 0 and faces.std(0).mean() > 1e-3
    assert all(torch.equal(after[name], value.half().float()) for name, value in before.items())  # of words
    assert Lip2WavFeatureExtractor.from_pretrained(output / "final").normalization_window == 100  # the generator's
    best = json.loads((output / "validation.jsonl").read_text().splitlines()[-1])
    assert best["validation/lip_states_r2"] > 0.1
    assert best["validation/lip_states_r2"] == pytest.approx(1 - best["validation/lip_states"], abs=1e-3)
    assert "validation/text_wer" not in best
    resumed = run(recipe, output, *options, "--max_steps", 41, "--resume", "latest")
    assert resumed.progress.step == 41
    further = ("--pretrained", output / "final", "--learning_rate", 1e-5, "--max_steps", 1)
    more = run(recipe, tmp_path / "more", *options, *further).model.eval()
    mel = torch.randn(1, 40, 10)
    with torch.no_grad():
        difference = (more.imagine_lips(mel) - saved.imagine_lips(mel)).abs().mean()
        assert 0 < difference < 0.01 * saved.imagine_lips(mel).abs().mean()  # it went on from there


def test_faces_are_what_a_generator_sees_of_clips_whatever_they_say(cached_clip, generator_dir):
    model = Lip2WavModel.from_pretrained(generator_dir, dtype=torch.float32)
    clips, lips = clips_of(cached_clip), encoder().lips
    assert lips.faces.shape == (64, 16) and not lips.faces.any()
    show_faces(lips, model, clips)
    batch = {"pixel_values_videos": clips[0]["pixel_values_videos"][None]}
    batch["frame_mask"] = torch.ones(1, batch["pixel_values_videos"].shape[1])
    hidden, text_logits, _ = model.encode(batch["pixel_values_videos"])
    told = model.add_words(hidden, text_logits)[0]
    assert torch.allclose(lips.faces, told.mean(0).expand(64, 16), atol=1e-5)
    assert torch.allclose(LipTeacher(model)(batch)[0][0] + lips.faces[0], told, atol=1e-5)


def plan(*options):
    return plan_networks(parse_arguments(["--data_dir", "nowhere", *map(str, options)]))


def test_the_encoder_of_a_folder_gets_a_head_and_keeps_its_weights(generator_dir):
    words = encoder(lip_states_size=0)
    words.save_pretrained(generator_dir / "speech_encoder")
    made = plan(*OPTIONS, "--pretrained", generator_dir, "--lips_of", generator_dir)
    assert (made.pretrained, made.subfolder) == (generator_dir, "speech_encoder")
    assert made.config.lip_states_size == made.generator.config.hidden_size == 16
    model = build_model(made, None)
    own = model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in words.state_dict().items())
    assert model.lips.narrow.weight.std().item() == pytest.approx(model.config.initializer_range, rel=0.2)
    with pytest.raises(ValueError, match="has not learnt how lips look"):
        words.imagine_lips(torch.zeros(1, 4, 10))


def test_the_bundled_encoder_goes_on_from_the_head_that_it_has():
    made = plan(*OPTIONS, "--pretrained", "grid-s1", "--lips_of", "grid-s1")
    assert (made.pretrained, made.subfolder) == (CHECKPOINTS / "grid-s1", "speech_encoder")
    own = build_model(made, None).state_dict()
    known = load_network("grid-s1", "lip2wav_speech_encoder").state_dict()
    assert own.keys() == known.keys() and all(torch.equal(own[name], value) for name, value in known.items())


def test_a_new_encoder_imagines_from_the_beginning(generator_dir):
    made = plan("--network", "speech_encoder", "--lips_of", generator_dir, "--lip_states", 1)
    assert made.config.lip_states_size == 16 and made.pretrained is None
    assert made.feature_extractor.normalization_window == 100


def test_weights_that_are_missing_are_no_head(generator_dir, tmp_path):
    """The head alone begins at random."""
    whole = encoder(lip_states_size=0)
    weights = whole.state_dict()
    del weights["text_head.weight"]
    whole.save_pretrained(tmp_path / "damaged", state_dict=weights)
    Lip2WavFeatureExtractor().save_pretrained(tmp_path / "damaged")
    made = plan(*OPTIONS, "--pretrained", tmp_path / "damaged", "--lips_of", generator_dir)
    with pytest.raises(WeightsError, match="text_head.weight"):
        build_model(made, None)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--lip_states", 1), "--lip_states without --lips_of"),
        (("--lips_of", "grid-s1"), "--lips_of without --lip_states"),
        (("--lips_of", "grid-s1", "--lip_states", 1, "--network", "generator"), "--lips_of, --lip_states with --netw"),
        (("--lips_of", "nowhere", "--lip_states", 1), "--lips_of nowhere: no generator can be loaded.*Train it first"),
        (("--lips_of", "grid-sync", "--lip_states", 1), "--lips_of grid-sync: no generator .*'lip2wav_syncnet'"),
        (("--lips_of", "{frame}", "--lip_states", 1), '--lips_of .*: it has the "frame" decoder'),
        (("--lips_of", "{fast}", "--lip_states", 1), r"`frame_rate` of the speech encoder .*\(25.0 and 50.0\)"),
        (
            ("--pretrained", "{encoder}", "--lips_of", "grid-s1", "--lip_states", 1),
            r"`lip_states_size` of the speech encoder does not fit this generator \(16 and 256\)",
        ),
        (("--config", "{head}"), "a new network with a `lip_states_size` learns to imagine lips: say whose, --lips"),
        (("--ctc", 0, "--words", 0), "nothing would be learnt, since none of --ctc, --words and --lip_states has a"),
        (
            ("--lips_of", "grid-s1", "--lip_states", 1, "--feature_extractor", "eyes.json"),
            "--feature_extractor beside --lips_of",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, complaint):
    places = {name: str(tmp_path / name) for name in ("frame", "fast", "encoder", "head")}
    for name, changes in (
        ("frame", {"decoder_type": "frame", "decoder_channels": 16, "word_conditioning": False}),
        ("fast", {"frame_rate": 50.0, "hop_length": 80}),
    ):
        if f"{{{name}}}" in options:
            generator(**changes).save_pretrained(places[name])
            Lip2WavFeatureExtractor().save_pretrained(places[name])
    encoder().save_pretrained(places["encoder"])
    Lip2WavFeatureExtractor().save_pretrained(places["encoder"])
    (tmp_path / "head").write_text(json.dumps({"lip_states_size": 16, "vocabulary": list(VOCABULARY)}))
    words = [word.format(**places) if isinstance(word, str) else word for word in options]
    if "--feature_extractor" in words:
        (tmp_path / "eyes.json").write_text(json.dumps(Lip2WavFeatureExtractor().to_dict(), default=str))
        words[-1] = str(tmp_path / "eyes.json")
    with pytest.raises(TrainingError, match=complaint):
        plan("--network", "speech_encoder", *words)
