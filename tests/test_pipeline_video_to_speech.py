import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import pipeline

import lip2wav_hf
from conftest import TINY_CONFIG
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.decoding import BeamDecoder, BeamOptions
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.modeling_lip2wav import Lip2WavModel
from lip2wav_hf.pipeline_video_to_speech import VideoToSpeechPipeline
from lip2wav_hf.speaking import Speaker
from lip2wav_hf.training.language_model import estimate_ngram
from lip2wav_hf.video import VideoError, VideoPart


BOX = (4, 2, 76, 50)


def make_pipeline(dtype=torch.float32, model_options=None, **options):
    torch.manual_seed(0)
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG, **(model_options or {}))).to(dtype)
    options = {"device": "cpu", "fps": 25, "mouth_boxes": BOX} | options
    return VideoToSpeechPipeline(
        task="video-to-speech", model=model, feature_extractor=Lip2WavFeatureExtractor(), **options
    )


@pytest.fixture(scope="module")
def pipe():
    return make_pipeline()


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, 54, 80, 3), np.uint8)


def test_result_types_and_shapes(pipe):
    result = pipe(noise(12))
    assert set(result) == {"audio", "sampling_rate", "text", "words", "face_coverage", "written"}
    assert result["audio"].dtype == np.float32 and result["audio"].shape == (12 * 640,)
    assert np.abs(result["audio"]).max() <= 1
    assert result["sampling_rate"] == 16000
    assert result["face_coverage"] == 1.0
    assert result["text"] == " ".join(word["word"] for word in result["words"])
    for word in result["words"]:
        assert 0 <= word["start"] < word["end"] <= 12 / 25
        assert 0 < word["confidence"] <= 1


def test_return_crops(pipe):
    crops = pipe(noise(7), return_crops=True)["crops"]
    assert crops.shape == (7, 40, 64) and crops.dtype == np.uint8


def test_a_batch_of_ragged_clips_equals_single_clips(pipe):
    videos = [noise(9, 1), noise(15, 2), noise(4, 3)]
    single = [pipe(video) for video in videos]
    together = pipe(videos, batch_size=3, return_crops=True)
    for alone, batched, video in zip(single, together, videos, strict=True):
        assert batched["audio"].shape == (len(video) * 640,)
        np.testing.assert_allclose(batched["audio"], alone["audio"], atol=1e-5)
        assert batched["text"] == alone["text"]
        assert batched["crops"].shape == (len(video), 40, 64)


def test_more_clips_than_fit_one_batch(pipe):
    lengths = [3, 8, 5, 6, 4]
    results = pipe([noise(length, length) for length in lengths], batch_size=2)
    assert [len(result["audio"]) // 640 for result in results] == lengths


def test_list_tuple_generator_and_dataset_agree(pipe):
    videos = [noise(5, 1), noise(6, 2)]

    class Clips(torch.utils.data.Dataset):
        def __len__(self):
            return len(videos)

        def __getitem__(self, index):
            return videos[index]

    expected = [pipe(video)["audio"] for video in videos]
    for many in (videos, tuple(videos), (video for video in videos), Clips()):
        results = list(pipe(many))
        assert len(results) == 2
        for result, audio in zip(results, expected, strict=True):
            np.testing.assert_allclose(result["audio"], audio, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_float32_out(pipe, dtype):
    video = noise(10)
    result = make_pipeline(dtype)(video)
    assert result["audio"].dtype == np.float32
    assert np.isfinite(result["audio"]).all()
    expected = pipe(video)["audio"]
    assert np.abs(result["audio"] - expected).max() <= 0.1 * np.abs(expected).max() + 1e-3


def test_chunked_equals_unchunked(pipe):
    video = noise(150)
    whole = pipe(video, chunk_length_s=60.0)
    chunked = pipe(video, chunk_length_s=1.0)
    assert whole["audio"].shape == chunked["audio"].shape
    np.testing.assert_allclose(chunked["audio"], whole["audio"], atol=1e-3 * np.abs(whole["audio"]).max())
    assert chunked["text"] == whole["text"]


def test_a_dict_carries_what_belongs_to_one_video():
    pipe = make_pipeline(fps=None, mouth_boxes=None)
    first, second = noise(5, 1), noise(10, 2)
    results = pipe(
        [
            {"video": first, "fps": 25, "mouth_boxes": BOX},
            {"video": second, "fps": 50, "mouth_boxes": np.tile(BOX, (5, 1))},
        ],
        batch_size=2,
    )
    assert [len(result["audio"]) for result in results] == [5 * 640, 5 * 640]


def test_rows_of_a_datasets_video_column(pipe, talking_video):
    rows = [
        {"path": str(talking_video), "bytes": None},
        {"path": None, "bytes": talking_video.read_bytes()},
    ]
    pipe = make_pipeline(fps=None, mouth_boxes=None)
    from_path, from_bytes = pipe(rows)
    np.testing.assert_array_equal(from_path["audio"], from_bytes["audio"])
    assert len(from_path["audio"]) == 75 * 640
    assert from_path["face_coverage"] > 0.95


def test_speaker_embedding():
    pipe = make_pipeline(model_options={"speaker_embedding_size": 4})
    video = noise(6)
    voices = [pipe(video, speaker_embedding=np.full(4, value))["audio"] for value in (-1.0, 1.0)]
    assert np.abs(voices[0] - voices[1]).max() > 0
    together = pipe(
        [{"video": video, "speaker_embedding": [1.0] * 4}, {"video": video, "speaker_embedding": [-1.0] * 4}]
    )
    np.testing.assert_allclose(together[0]["audio"], voices[1], atol=1e-6)
    with pytest.raises(ValueError, match="needs a `speaker_embedding`"):
        pipe(video)


@pytest.mark.parametrize(
    "videos, message",
    [
        ([], "list of videos is empty"),
        ((), "list of videos is empty"),
        (None, "None"),
        ([None], "None"),
        (list(noise(3)), "np.stack"),
        ([[noise(3)]], "flat list"),
        (3, "not int"),
        ({"video": noise(3), "frame_rate": 25}, "unknown keys \\['frame_rate'\\]"),
        ({"fps": 25}, 'has no "video"'),
        ("there-is-no-such-file.mp4", "there-is-no-such-file.mp4"),
    ],
)
def test_unusable_input_is_refused_with_the_reason(pipe, videos, message):
    with pytest.raises(ValueError, match=message):
        pipe(videos)


def test_an_array_needs_fps():
    with pytest.raises(ValueError, match="fps="):
        make_pipeline(fps=None)(noise(3))


def test_boxes_for_many_videos_are_refused(pipe):
    with pytest.raises(VideoError, match="belongs to one video"):
        pipe([noise(3), noise(4)], mouth_boxes=np.tile(BOX, (3, 1)))


def test_misspelt_and_impossible_parameters(pipe):
    with pytest.raises(TypeError, match="chunk_lenght_s"):
        pipe(noise(3), chunk_lenght_s=5.0)
    with pytest.raises(TypeError, match="min_confidence"):
        make_pipeline(min_confidence=0.5)
    with pytest.raises(ValueError, match="chunk_length_s"):
        pipe(noise(3), chunk_length_s=0.0)
    with pytest.raises(ValueError, match="chunk_length_s='2': it must be a number of seconds, not a str"):
        pipe(noise(3), chunk_length_s="2")


def test_an_unknown_argument_is_named_with_where_it_belongs(pipe):
    for name, advice in (
        ("phrase", "Did you mean phrases"),
        ("landmark_interval", "set pipe.feature_extractor.landmark_interval"),
        ("runtime", "lip2wav speak --runtime onnx"),
        ("dtype", r"pipeline\(…, dtype=…\)"),
        ("colour", "There are fps, landmarks"),
    ):
        with pytest.raises(TypeError, match=f"^{name}=: there is no such argument of a video.*{advice}.*batch_size"):
            pipe(noise(3), fps=25, **{name: 4})


def test_a_tensor_of_pictures_is_the_array_that_it_is(pipe):
    pictures = noise(6)
    tensor, wanted = torch.from_numpy(pictures), pipe(pictures, fps=25, mouth_boxes=BOX)["audio"]
    for video in (tensor, [tensor], {"video": tensor}):
        spoken = pipe(video, fps=25, mouth_boxes=BOX)
        assert np.array_equal((spoken[0] if isinstance(spoken, list) else spoken)["audio"], wanted)
    features = pipe.feature_extractor(tensor, fps=25, mouth_boxes=BOX)
    assert features["pixel_values_videos"].shape[1] == 6
    assert pipe.feature_extractor.extract(VideoPart(tensor, 0.08), fps=25, mouth_boxes=BOX).regions.shape[0] == 4
    with pytest.raises(VideoError, match="^tensor of shape .*: its dtype is torch.float32, but pictures are uint8"):
        pipe(tensor.float(), fps=25)
    with pytest.raises(VideoError, match=r"channels come first. Pass video.permute\(0, 2, 3, 1\)"):
        pipe(tensor.permute(0, 3, 1, 2), fps=25)
    with pytest.raises(VideoError, match="this one holds single frames"):
        pipe(list(tensor), fps=25)


def test_one_picture_is_not_called_a_list(pipe):
    picture = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^an array of shape \(40, 40, 3\) looks like a single picture, not a video"):
        pipe(picture)


def test_a_model_without_feature_extractor_is_refused():
    with pytest.raises(ValueError, match="feature_extractor="):
        VideoToSpeechPipeline(model=Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)), device="cpu")


class WordsOfConfidence(Lip2WavModel):
    """Says "bin" with a given probability in every frame."""

    probability = 0.9

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        logits = torch.full_like(output.text_logits, ((1 - self.probability) / 51)).log()
        logits[..., 1] = np.log(self.probability)
        output.text_logits = logits
        return output


@pytest.mark.parametrize("probability, warned", [(0.9, False), (0.5, True)])
def test_one_warning_for_uncertain_words(caplog, probability, warned):
    model = WordsOfConfidence(Lip2WavConfig(**TINY_CONFIG))
    model.probability = probability
    pipe = VideoToSpeechPipeline(model=model, feature_extractor=Lip2WavFeatureExtractor(), device="cpu", fps=25)
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        pipe(noise(12), mouth_boxes=BOX)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == int(warned)
    if warned:
        assert "array of shape (12, 54, 80, 3)" in messages[0]
        assert "mean confidence 0.50" in messages[0] and "51 words" in messages[0]
    caplog.clear()
    pipe(noise(12), mouth_boxes=BOX, low_text_confidence=0.4)
    assert not caplog.records


def test_a_warning_when_the_face_is_mostly_missing(caplog, talking_video):
    from lip2wav_hf.video import VideoReader

    with VideoReader(talking_video) as reader:
        frames = np.stack(list(reader))
    frames[20:70] = 128
    model = WordsOfConfidence(Lip2WavConfig(**TINY_CONFIG))
    pipe = VideoToSpeechPipeline(model=model, feature_extractor=Lip2WavFeatureExtractor(), device="cpu")
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        result = pipe(frames, fps=25)
    assert result["face_coverage"] < 0.5
    assert len(caplog.records) == 1
    assert "a face was found in only" in caplog.records[0].getMessage()


def test_the_model_speaks_in_evaluation_mode():
    pipe = make_pipeline()
    video = noise(8)
    np.testing.assert_array_equal(pipe(video)["audio"], pipe(video)["audio"])
    assert not pipe.model.training


def test_loaded_from_a_folder_without_any_request(tiny_model_dir, talking_video, no_network):
    pipe = VideoToSpeechPipeline(
        task="video-to-speech",
        model=Lip2WavModel.from_pretrained(tiny_model_dir),
        feature_extractor=Lip2WavFeatureExtractor.from_pretrained(tiny_model_dir),
        device="cpu",
    )
    result = pipe(talking_video)
    assert result["audio"].shape == (75 * 640,)
    assert result["face_coverage"] > 0.95
    assert not no_network


def test_import_registers_the_task(tiny_model_dir, talking_video):
    pipe = pipeline("video-to-speech", model=str(tiny_model_dir), device="cpu", chunk_length_s=5.0)
    assert type(pipe) is VideoToSpeechPipeline
    assert len(pipe(str(talking_video))["audio"]) == 75 * 640
    assert (
        pipeline("video-to-speech", model=str(tiny_model_dir), device="cpu", dtype="bfloat16").dtype == torch.bfloat16
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_automatic_dtype_is_that_of_the_saved_model(tmp_path, dtype):
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).to(dtype).save_pretrained(tmp_path)
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    pipe = pipeline("video-to-speech", model=str(tmp_path), device="cpu", dtype="auto")
    assert pipe.dtype == dtype
    assert pipe(noise(5), fps=25, mouth_boxes=BOX)["audio"].dtype == np.float32


def test_the_bundled_checkpoint_is_the_default(talking_video, no_network):
    pipe = pipeline("video-to-speech", device="cpu")
    result = pipe(str(talking_video))
    assert result["sampling_rate"] == 16000 and len(result["audio"]) == 3 * 16000
    assert np.abs(result["audio"]).max() > 0.01
    assert not no_network


def test_real_clips_in_every_form(grid_dir):
    clips = sorted((grid_dir / "original").glob("*/*.mpg"))[:2]
    pipe = make_pipeline(fps=None, mouth_boxes=None)
    results = pipe([str(clips[0]), clips[1]], batch_size=2)
    for result in results:
        assert len(result["audio"]) == 75 * 640
        assert result["face_coverage"] > 0.95
    with open(clips[0], "rb") as file:
        np.testing.assert_allclose(pipe(file)["audio"], results[0]["audio"], atol=1e-5)


PHRASES = ["set red by a one again", "bin blue at f two now", "place white"]


def test_none_is_any_words_as_on_the_command_line(pipe):
    video = noise(40)
    assert pipe(video, grammar="none")["text"] == pipe(video, grammar=None)["text"]
    speaker = Speaker(pipe.model, pipe.feature_extractor)
    speaker.grammar = PHRASES
    assert speaker.grammar_decoder() is not None and speaker.grammar_decoder("none") is None


def test_phrases_are_all_that_is_said(pipe):
    video = noise(40)
    free = pipe(video, grammar=None)
    said = pipe(video, phrases=PHRASES)
    assert said["text"] in PHRASES and free["text"] not in PHRASES
    assert pipe(video, grammar=PHRASES)["text"] == said["text"]
    several = pipe([video, noise(30, 2)], phrases=PHRASES, batch_size=2)
    assert [result["text"] in PHRASES for result in several] == [True, True]
    assert pipe(video)["text"] == free["text"]  # this model has no grammar of its own


def test_phrases_are_normalised_and_come_back_as_they_were_written(pipe):
    said = pipe(noise(40), phrases=["Place WHITE!", "Set red, by A one again."])
    assert said["text"] in ("place white", "set red by a one again")
    assert said["written"] in ("Place WHITE!", "Set red, by A one again.") and said["words"][0]["word"].islower()
    assert pipe(noise(40))["written"] == pipe(noise(40))["text"]


def test_a_beam_searches_for_the_words(pipe):
    video, model = noise(40), pipe.model
    inputs = pipe.preprocess(video, fps=25, mouth_boxes=BOX)
    scores = pipe._forward(inputs)["text_logits"][0].log_softmax(-1).numpy()
    expected = BeamDecoder(model.config.units, BeamOptions(4), None, model.config.change_penalty).decode(scores)
    assert pipe(video, beam=4)["text"] == " ".join(word for word, _, _ in expected.words)
    batch = pipe([video, noise(30, 2)], beam=4, batch_size=2)
    assert batch[0]["text"] == pipe(video, beam=4)["text"]


def test_a_beam_of_the_model_is_the_default_and_can_be_left_out(tmp_path):
    own = make_pipeline(model_options={"beam_width": 6, "word_bonus": 50.0})
    greedy = make_pipeline()
    greedy.model.load_state_dict(own.model.state_dict())
    video = noise(30)
    assert len(own(video)["words"]) == 30  # as many words as there are frames, for the bonus
    assert own(video, beam=1)["text"] == greedy(video)["text"] == own(video, grammar=None, beam=1)["text"]
    assert own(video, phrases=["place white now"])["text"] == "place white now"
    both = make_pipeline(model_options={"grammar": "public <s> = place white now;", "word_bonus": 50.0})
    assert both(video)["text"] == both(video, beam=1)["text"] == "place white now"
    assert len(both(video, beam=6)["words"]) == 30


def test_an_n_gram_beside_the_weights_is_used(tmp_path):
    own = make_pipeline(model_options={"beam_width": 8, "ngram_weight": 100.0})
    own.model.ngram = estimate_ngram([["place", "white", "now"]], 3)
    own.save_pretrained(tmp_path)
    loaded = pipeline("video-to-speech", model=str(tmp_path), device="cpu", fps=25, mouth_boxes=BOX)
    light = Speaker.from_folder(tmp_path, "cpu")
    clip = {"video": noise(30), "fps": 25, "mouth_boxes": BOX}
    assert loaded(noise(30))["text"] == light([clip])[0]["text"] == "place white now"
    assert loaded(noise(30), beam=1)["text"] != "place white now"
    (tmp_path / "ngram.arpa").unlink()
    with pytest.raises(OSError, match="ngram.arpa"):
        Lip2WavModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ngram.arpa"):
        Speaker.from_folder(tmp_path, "cpu")


@pytest.mark.parametrize("conditioning", [False, True])
def test_characters_are_spoken_in_every_way(tmp_path, conditioning):
    """Greedily, with a beam, with phrases; words have their times; the decoder is told the characters."""
    own = make_pipeline(model_options={"text_units": "characters", "word_conditioning": conditioning})
    own.save_pretrained(tmp_path)
    loaded = pipeline("video-to-speech", model=str(tmp_path), device="cpu", fps=25, mouth_boxes=BOX)
    video = noise(40)
    results = {"greedy": loaded(video), "beam": loaded(video, beam=4), "list": loaded(video, phrases=["Hullo, you!"])}
    for result in results.values():
        assert result["text"].split() == [word["word"] for word in result["words"]]
        times = [time for word in result["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times) and all(0 < word["confidence"] <= 1 for word in result["words"])
    assert results["list"]["text"] == "hullo you" and results["list"]["written"] == "Hullo, you!"
    moved = np.abs(results["list"]["audio"] - results["greedy"]["audio"]).max() > 0
    assert moved == conditioning
    with pytest.raises(ValueError, match="knows 26 characters"):
        loaded(video, phrases=["γεια"])


def test_a_grammar_of_the_model_is_the_default_and_can_be_left_out(tmp_path):
    own = make_pipeline(model_options={"grammar": "public <s> = place white now;"})
    own.save_pretrained(tmp_path)
    loaded = VideoToSpeechPipeline(
        task="video-to-speech",
        model=Lip2WavModel.from_pretrained(tmp_path),
        feature_extractor=Lip2WavFeatureExtractor(),
        fps=25,
        mouth_boxes=BOX,
    )
    assert own(noise(30))["text"] == loaded(noise(30))["text"] == "place white now"
    assert loaded(noise(30), grammar=None)["text"] != "place white now"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"phrases": ["hello world"]}, "2 word.*'hello'"),
        ({"phrases": []}, "no sentence"),
        ({"phrases": ["place white"], "grammar": None}, "give one of them"),
        ({"grammar": "missing.jsgf"}, "missing.jsgf: there is no such file"),
        ({"grammar": 7}, "7 is no grammar"),
        ({"beam": 0}, "beam=0: .* 1 or more"),
        ({"beam": 2.5}, "beam=2.5: .* 1 or more"),
        ({"beam": "8"}, "beam='8': .* 1 or more"),
        ({"beam": 4, "phrases": ["place white"]}, "give one of them"),
    ],
)
def test_unusable_grammars_are_refused_before_any_work(pipe, parameters, message):
    with pytest.raises(ValueError, match=message):
        pipe("no such video.mp4", **parameters)


def test_the_bundled_checkpoint_chooses_among_phrases(talking_video, tmp_path):
    speak = pipeline("video-to-speech")
    assert speak(str(talking_video), phrases=PHRASES)["text"] == "bin blue at f two now"
    (tmp_path / "phrases.txt").write_text("\n".join(PHRASES))
    assert speak(str(talking_video), grammar=tmp_path / "phrases.txt")["text"] == "bin blue at f two now"


def test_the_bundled_model_does_not_grow_by_being_saved(tmp_path):
    """Its weights are in half precision, and calculate in float32; saved by the pipeline they are so again."""
    pipe = pipeline("video-to-speech", device="cpu")
    assert pipe.dtype == torch.float32
    pipe.save_pretrained(tmp_path)
    original, saved = (Path(folder) / "model.safetensors" for folder in (lip2wav_hf.DEFAULT_CHECKPOINT, tmp_path))
    assert saved.stat().st_size == pytest.approx(original.stat().st_size, rel=0.01)
    config = saved.with_name("config.json")
    assert saved.stat().st_mode == config.stat().st_mode, "whoever may read the configuration may read the weights"
    again = VideoToSpeechPipeline(
        model=Lip2WavModel.from_pretrained(tmp_path),
        feature_extractor=Lip2WavFeatureExtractor.from_pretrained(tmp_path),
        device="cpu",
    )
    video = noise(5)
    np.testing.assert_array_equal(
        again(video, fps=25, mouth_boxes=BOX)["audio"], pipe(video, fps=25, mouth_boxes=BOX)["audio"]
    )
