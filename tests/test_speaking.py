"""Speaking without transformers' base classes: the same numbers, and the same refusals."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import REPOSITORY, TINY_CONFIG
from lip2wav_hf import speaking
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.decoding import GrammarDecoder
from lip2wav_hf.errors import Lip2WavError, WeightsError
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.generator import Generator, usable_device
from lip2wav_hf.grammar import Grammar, GrammarError
from lip2wav_hf.modeling_lip2wav import Lip2WavModel
from lip2wav_hf.models import find_model, pipeline
from lip2wav_hf.pipeline_video_to_speech import VideoToSpeechPipeline
from lip2wav_hf.speaking import Speaker, written_sentences
from lip2wav_hf.video import VideoReader
from little_videos import write_video
from warm_processes import WarmProcesses


BOX = np.array([8.0, 8.0, 56.0, 40.0])


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 54, 80, 3), np.uint8)


def clip(frames, seed=0):
    return {"video": noise(frames, seed), "fps": 25, "mouth_boxes": BOX}


def pipeline_of(folder, dtype="auto"):
    return VideoToSpeechPipeline(
        model=Lip2WavModel.from_pretrained(folder, dtype=dtype),
        feature_extractor=Lip2WavFeatureExtractor.from_pretrained(folder),
        device="cpu",
    )


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
def test_numbers_are_those_of_the_pipeline(talking_video, dtype):
    folder = find_model("grid-s1")
    speaker = Speaker.from_folder(folder, "cpu", dtype)
    pipe = pipeline_of(folder, dtype)
    assert speaker.model.dtype == pipe.dtype
    [mine] = speaker([talking_video], return_crops=True)
    theirs = pipe(talking_video, return_crops=True)
    np.testing.assert_allclose(mine["audio"], theirs["audio"], atol=1e-5)
    np.testing.assert_array_equal(mine["crops"], theirs["crops"])
    assert {key: mine[key] for key in ("text", "words", "face_coverage", "sampling_rate")} == {
        key: theirs[key] for key in ("text", "words", "face_coverage", "sampling_rate")
    }


@pytest.mark.parametrize("settings", [{}, {"decoder_type": "frame", "hop_length": 640}], ids=["istft", "frame"])
def test_weights_are_those_of_the_model(tmp_path, settings):
    config = Lip2WavConfig(**{**TINY_CONFIG, **settings})
    model = Lip2WavModel(config).eval()
    model.save_pretrained(tmp_path)
    generator = Generator.from_folder(tmp_path)
    assert not generator.training
    expected, found = ({**each.state_dict(), **dict(each.named_buffers())} for each in (model, generator))
    assert list(expected) == list(found)
    for name in expected:
        assert expected[name].dtype == found[name].dtype and torch.equal(expected[name], found[name]), name


def test_clips_of_a_batch_do_not_hear_each_other(tiny_model_dir):
    """Neither padding nor a neighbour changes what is said in a clip."""
    speaker = Speaker.from_folder(tiny_model_dir, "cpu")
    clips = [clip(9), clip(25, seed=1), clip(4, seed=2)]
    for together, video in zip(speaker(clips), clips, strict=True):
        [alone] = speaker([video])
        assert len(together["audio"]) == len(video["video"]) * 640
        np.testing.assert_allclose(together["audio"], alone["audio"], atol=1e-5)
        assert [word["word"] for word in together["words"]] == [word["word"] for word in alone["words"]]


def test_weights_in_several_files(tiny_model_dir, tmp_path):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        save_file({name: weights[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    found = Generator.from_folder(folder).state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in names)


def test_the_type_of_the_weights_counts_where_the_configuration_names_none(tiny_model_dir, tmp_path):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    half = {name: each.bfloat16() if each.is_floating_point() else each for name, each in weights.items()}
    save_file(half, folder / "model.safetensors")
    assert Generator.from_folder(folder).dtype == torch.bfloat16
    assert Generator.from_folder(folder, "float32").dtype == torch.float32


@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape", "damaged", "none"])
def test_weights_that_do_not_fit_are_refused(tiny_model_dir, tmp_path, kind):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    path = folder / "model.safetensors"
    weights = load_file(path)
    if kind == "missing":
        del weights["text_head.weight"]
    elif kind == "left over":
        weights["other.weight"] = torch.zeros(1)
    else:
        weights["text_head.weight"] = torch.zeros(1)
    save_file(weights, path)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    if kind == "none":
        path.unlink()
    with pytest.raises(WeightsError, match={"none": "missing"}.get(kind, kind)):
        Generator.from_folder(folder)


def test_a_device_that_is_not_there_is_named():
    for device, cause in (("gpu", ""), ("abacus:1", ""), ("cuda:999", r" \(.+\)"), ("xpu:999", r" \(.+\)")):
        message = rf"{device}: it cannot be used here{cause}\. Devices"
        with pytest.raises(Lip2WavError, match=f"^--device {message}") as error:
            usable_device(device)
        assert re.search(r"Devices are cpu, cuda, mps, xpu; here there is: cpu( and \w+)?\.$", str(error.value))
        assert "mkldnn" not in str(error.value)
        with pytest.raises(Lip2WavError, match=f"^device={message}"):
            pipeline("video-to-speech", device=device)
    assert usable_device("cpu") == torch.device("cpu")
    assert isinstance(usable_device(), torch.device)


@pytest.mark.parametrize("vocabulary", [None, ["yes", "no"]], ids=["of GRID", "of one's own"])
def test_the_warning_names_grid_only_for_its_words(caplog, vocabulary):
    config = Lip2WavConfig(**TINY_CONFIG, **({"vocabulary": vocabulary} if vocabulary else {}))
    speaker = Speaker(Lip2WavModel(config).eval(), Lip2WavFeatureExtractor())
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        speaker([clip(6)])
    [message] = [record.getMessage() for record in caplog.records]
    assert f"a closed vocabulary of {len(vocabulary or range(51))} words" in message
    assert ("GRID" in message) == (vocabulary is None)


@pytest.mark.parametrize(
    ("sentences", "limits"),
    [
        ("yes | no | yes no", "3 phrases"),
        ("yes", "1 phrase"),
        ("(yes | no) (yes | no) (yes | no) (yes | no) (yes | no)", "2 words"),
        ("(yes | no)+", "2 words"),
    ],
)
def test_the_warning_speaks_of_phrases_where_there_are_some(caplog, sentences, limits):
    """Those of the model, or of the call; and of its words where the call says that any may be said."""
    grammar = f"#JSGF V1.0;\ngrammar g;\npublic <s> = {sentences};\n"
    config = Lip2WavConfig(**TINY_CONFIG, vocabulary=["yes", "no"])
    given = Speaker(Lip2WavModel(config).eval(), Lip2WavFeatureExtractor())
    own = Speaker(
        Lip2WavModel(Lip2WavConfig(**config.to_dict() | {"grammar": grammar})).eval(), given.feature_extractor
    )
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        given([clip(6)], grammar=grammar)
        own([clip(6)])
        own([clip(6)], grammar=None)
    *of_phrases, of_words = [record.getMessage() for record in caplog.records]
    for message in of_phrases:
        made = "makes sentences of a fixed form from" if "word" in limits else "answers with nothing but"
        assert message.count(f"; this model {made} {limits} and knows frontal faces only") == 1
        assert "vocabulary" not in message
    assert len(of_phrases) == 2 and "a closed vocabulary of 2 words" in of_words


def test_the_warning_of_the_bundled_model_speaks_of_its_words(caplog):
    """Not of its 64,000 sentences, as of a list that somebody has written."""
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        Speaker.from_folder(find_model("grid-s1"), "cpu")([clip(12)])
    [message] = [record.getMessage() for record in caplog.records]
    assert "; this model makes sentences of a fixed form from 51 words (those of the GRID corpus) and knows" in message


@pytest.mark.parametrize("frames", [1, 9, 10])
def test_a_video_of_a_few_frames_is_said_to_be_too_short(caplog, tiny_model_dir, frames):
    speaker = Speaker.from_folder(tiny_model_dir, "cpu")
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        speaker([clip(frames)])
        stream = speaker.stream(clip(frames))
        for _ in stream:
            pass
        stream.result()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2  # one warning for each, whatever there is to say
    for message in messages:
        assert (f"the video is very short ({frames / 25:.2f} s), too short for a sentence" in message) == (frames < 10)


def test_phrases_in_a_row_are_written_where_some_are_as_their_words():
    config = Lip2WavConfig(vocabulary=["yes", "no", "i"], written_words={"i": "I"})
    decoder = GrammarDecoder(Grammar.of(["No!", "yes", "i i", "yes no"], config.normalizer), config.units)
    sentences = written_sentences(config, decoder)
    assert config.written("yes no i i no yes", sentences) == "yes no I I No! yes"
    assert written_sentences(config, None) == {}
    assert written_sentences(config, GrammarDecoder(Grammar.of(["no"]), config.units)) == {}


# --------------------------------------------------------------------------------------------------------------------
# long videos
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [51, 250, 700])
def test_a_video_spoken_while_it_is_read_gives_the_same_numbers(tiny_model_dir, monkeypatch, frames):
    """By the speaker and by the pipeline; the limit is at two seconds here."""
    monkeypatch.setattr(speaking, "LONG_SECONDS", 2.0)
    speaker, pipe = Speaker.from_folder(tiny_model_dir, "cpu"), pipeline_of(tiny_model_dir)
    inputs = speaker.prepare(clip(frames), return_crops=True)
    assert "stream" not in inputs and "stream" in speaker.prepare(clip(frames), whole=False)
    with torch.inference_mode():
        whole = speaker.finish(speaker.generate(inputs, chunk_length_s=1.0))
    [spoken] = speaker([clip(frames)], return_crops=True, chunk_length_s=1.0)
    piped = pipe(clip(frames), return_crops=True, chunk_length_s=1.0)
    for result in (spoken, piped):
        np.testing.assert_array_equal(result["audio"], whole["audio"])
        np.testing.assert_array_equal(result["crops"], whole["crops"])
        assert result["words"] == whole["words"] and result["face_coverage"] == 1.0
    stream = speaker.stream(clip(frames), chunk_length_s=1.0)
    blocks = [len(block) for block in stream]
    assert blocks[:-1] == [16000] * (len(blocks) - 1) and sum(blocks) == stream.samples == frames * 640


def test_a_long_video_that_is_left_is_read_no_further(tiny_model_dir, tmp_path, monkeypatch):
    """The thread that reads ends before the video is closed; what comes of that is no error."""
    monkeypatch.setattr(speaking, "LONG_SECONDS", 1.0)
    video = write_video(tmp_path / "long.mp4", 1000)
    speaker = Speaker.from_folder(tiny_model_dir, "cpu")
    with (
        pytest.raises(KeyboardInterrupt),
        speaker.stream({"video": str(video), "mouth_boxes": [4, 4, 60, 40]}) as stream,
    ):
        next(stream)
        raise KeyboardInterrupt
    assert not any(thread.name.startswith("reading ahead") for thread in threading.enumerate())
    assert next(stream, None) is None


def test_long_videos_in_a_batch(tiny_model_dir, monkeypatch):
    """Short ones go through the generator together, long ones on their own."""
    monkeypatch.setattr(speaking, "LONG_SECONDS", 1.0)
    speaker, pipe = Speaker.from_folder(tiny_model_dir, "cpu"), pipeline_of(tiny_model_dir)
    clips = [clip(9), clip(60, seed=1), clip(12, seed=2)]
    expected = [speaker([each])[0]["audio"] for each in clips]
    for results in (speaker(clips), pipe(clips, batch_size=3), pipe(clips)):
        for result, audio in zip(results, expected, strict=True):
            np.testing.assert_allclose(result["audio"], audio, atol=1e-5)


def test_a_grammar_is_said_in_a_long_video_too(monkeypatch):
    """The decoder is told the words chunk by chunk; with a reach beyond the clip, the same as of the whole."""
    torch.manual_seed(0)
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG, word_conditioning=True)).eval()
    torch.nn.init.normal_(model.word_projection.weight)
    speaker = Speaker(model, Lip2WavFeatureExtractor())
    settings = {"grammar": ["bin", "now"], "chunk_length_s": 1.0}
    [expected], [plain] = speaker([clip(110)], **settings), speaker([clip(110)], chunk_length_s=1.0)
    assert np.abs(plain["audio"] - expected["audio"]).max() > 1e-4
    monkeypatch.setattr(speaking, "LONG_SECONDS", 1.0)
    for reach, tolerance in ((5.0, 1e-6), (2.0, 2e-2)):
        monkeypatch.setattr(speaking, "WORD_SECONDS", reach)
        [found] = speaker([clip(110)], **settings)
        np.testing.assert_allclose(found["audio"], expected["audio"], atol=tolerance)
        assert found["words"] == expected["words"]


def test_memory_does_not_grow_with_the_video(tiny_model_dir, tmp_path):
    """Of a process that writes the sound of five minutes: what its memory grows by in the last two, in the middle."""
    video = write_video(tmp_path / "long.mp4", 5 * 60 * 25, options={"preset": "ultrafast"})
    code = f"""
import os, statistics, sys
from lip2wav_hf.audio import open_audio
from lip2wav_hf.speaking import Speaker, written_sentences
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
speaker, sizes = Speaker.from_folder({str(tiny_model_dir)!r}, "cpu"), []
video = {{"video": {str(video)!r}, "mouth_boxes": [4.0, 4.0, 60.0, 40.0]}}
with speaker.stream(video) as stream, open_audio({str(tmp_path / "a.wav")!r}, 16000) as write:
    for block in stream:
        write(block)
        sizes.append(resident())
assert stream.samples == 5 * 60 * 16000, stream.samples
print((statistics.median(sizes[-12:]) - statistics.median(sizes[-24:-12])) / 2)  # 12 chunks are two minutes
"""
    if not Path("/proc/self/statm").is_file():
        pytest.skip("the memory of a process is read from /proc/self/statm")
    others = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    at_once = others | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}  # what is free is given back
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=at_once)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 2.5e6  # bytes for each minute; before, 37 MB


@pytest.mark.parametrize("long_seconds", [60.0, 0.5])
def test_another_face_of_the_same_size_is_warned_of(caplog, monkeypatch, tiny_model_dir, talking_video, long_seconds):
    """Also of a video that is spoken while it is read; one face is none of the warnings."""
    monkeypatch.setattr(speaking, "LONG_SECONDS", long_seconds)
    speaker, one = Speaker.from_folder(tiny_model_dir, "cpu"), np.stack(list(VideoReader(talking_video)))
    two = np.concatenate([one, one[:, :, ::-1]], 2)
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        alone = speaker.stream({"video": one, "fps": 25}).spoken()
        assert "other_face" not in alone and "another face" not in caplog.text
        for speech in (speaker.stream({"video": two, "fps": 25}).spoken(), *speaker([{"video": two, "fps": 25}])):
            assert speech["other_face"] is True
    said = [record.getMessage() for record in caplog.records if "another face" in record.getMessage()]
    assert len(said) == 2 and said[0].endswith(f": {speaking.OTHER_FACE}.")


@pytest.fixture(params=["istft", "frame"])
def wordless_dir(request, tmp_path):
    """A saved model whose text head was never trained."""
    decoder = {} if request.param == "istft" else {"decoder_type": "frame", "visual_channels": [4, 4]}
    config = Lip2WavConfig(**TINY_CONFIG | decoder, text_recognition=False)
    Lip2WavModel(config).save_pretrained(tmp_path)
    Lip2WavFeatureExtractor(crop_height=config.image_height, crop_width=config.image_width).save_pretrained(tmp_path)
    return tmp_path


def test_a_model_that_reads_no_words_gives_none(wordless_dir, caplog, monkeypatch):
    """Neither in the pipeline nor without it, of a short video or a long one; and it does not warn of its words."""
    monkeypatch.setattr(speaking, "LONG_SECONDS", 1.0)
    speaker = Speaker.from_folder(wordless_dir, "cpu")
    assert not speaker.reads_words
    for spoken in (pipeline_of(wordless_dir)(clip(10)), *speaker([clip(10)]), *speaker([clip(60)])):
        assert spoken["text"] == spoken["written"] == "" and spoken["words"] == []
        assert np.isfinite(spoken["audio"]).all()
    assert not caplog.records
    for options in ({"phrases": ["bin blue"]}, {"beam": 4}):
        with pytest.raises(GrammarError, match="reads no words"):
            pipeline_of(wordless_dir)(clip(10), **options)


def test_a_configuration_from_before_reads_words(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("text_recognition")
    (folder / "config.json").write_text(json.dumps(config))
    assert Speaker.from_folder(folder, "cpu").reads_words


def test_the_benchmark_of_gpus_says_where_there_is_none(tmp_path):
    """And measures the processor where that is asked for."""
    script = f"import runpy; runpy.run_path({str(REPOSITORY / 'benchmarks' / 'gpu.py')!r}, run_name='__main__')"
    settings = {"environment": {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}}
    with WarmProcesses(("lip2wav_hf.speaking",)) as processes:
        none = processes.run(tmp_path / "none", script, **settings)
        assert none.returncode == 0 and none.stdout == ""
        assert none.stderr.startswith("no GPU: ") and "--device cpu" in none.stderr
        options = ("--device", "cpu", "--batches", "1,2", "--repeats", "1")
        measured = processes.run(tmp_path / "table", script, options, **settings)
    assert measured.returncode == 0, measured.stderr
    assert [line.split(" | ")[0] for line in measured.stdout.splitlines()[-2:]] == ["| 1", "| 2"]
