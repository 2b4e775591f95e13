"""What is fuzzed: good files in every form that the package reads, and what reads them."""

import contextlib
import io
import itertools
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from conftest import TINY_CONFIG
from lip2wav_hf import (
    Lip2WavConfig,
    Lip2WavFeatureExtractor,
    Lip2WavModel,
    VideoPart,
    VideoReader,
    mux_audio,
    read_audio,
)
from lip2wav_hf.commands.info import describe_model, list_models, report
from lip2wav_hf.corpora.defects import CorpusReport
from lip2wav_hf.corpora.registry import open_corpus
from lip2wav_hf.corpora.transcripts import read_transcript
from lip2wav_hf.decoding import NGram
from lip2wav_hf.evaluation.scoring import read_sound
from lip2wav_hf.generator import Generator
from lip2wav_hf.grammar import Grammar
from lip2wav_hf.hub.facts import read_facts
from lip2wav_hf.models import BY_TYPE, load_network
from lip2wav_hf.speaking import Speaker
from lip2wav_hf.studio.phrases import check_phrases
from lip2wav_hf.training.cache import CachedClip, read_cached_clip, write_cached_clip
from lip2wav_hf.training.options import parse_arguments
from lip2wav_hf.training.recipes import CONFIGS

from .mutations import VALUES, mutate, mutate_json, mutate_text


MOST_PICTURES = 300  # that are read of a video: what a file may promise is no fault
MOST_BYTES = 10_000_000  # of a picture of which many are kept

Read = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Target:
    """A kind of input: its good files by name, how they are changed, and what reads the changed one."""

    seeds: dict[str, bytes]
    read: Read
    change: Callable[..., bytes] = mutate


class Targets:
    """All of them; what they need lies in a folder."""

    def __init__(self, folder: Path, sample: Path) -> None:
        self.folder, self.sample = folder, sample
        torch.manual_seed(0)
        self.model = folder / "model"
        Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).save_pretrained(self.model)
        Lip2WavFeatureExtractor().save_pretrained(self.model)
        self.speaker = Speaker.from_folder(self.model, "cpu")
        with VideoReader(sample) as reader:
            self.frames = np.stack(list(itertools.islice(reader, 10)))
        self.all: dict[str, Target] = {
            "video": Target(self._videos(), self._read_video),
            "playlist": Target(self._playlists(), self._read_video, mutate_text),
            "sound": Target(self._sounds(), lambda path, rng: void(read_sound(path))),
            "config": Target(self._of_model("config.json"), self._read_model, mutate_json),
            "extractor": Target(self._of_model("preprocessor_config.json"), self._read_model, mutate_json),
            "weights": Target(self._of_model("model.safetensors"), self._read_model),
            "network": Target(self._networks(), self._read_network, mutate_json),
            "information": Target(self._information(), self._read_information, mutate_text),
            "recipe": Target(RECIPES, lambda path, rng: void(parse_arguments([str(path)])), mutate_text),
            "facts": Target({"card.yaml": FACTS}, lambda path, rng: void(read_facts(path)), mutate_text),
            "report": Target({"report.json": REPORT}, lambda path, rng: void(CorpusReport.load(path)), mutate_json),
            "phrases": Target(
                GRAMMARS,
                lambda path, rng: void(check_phrases(path.read_bytes().decode(errors="replace"))),
                mutate_text,
            ),
            "transcript": Target(TRANSCRIPTS, lambda path, rng: void(read_transcript(path)), mutate_text),
            "grammar": Target(GRAMMARS, lambda path, rng: void(Grammar.of(path)), mutate_text),
            "ngram": Target({"ngram.arpa": ARPA}, lambda path, rng: void(NGram.from_arpa(path)), mutate_text),
            "cache": Target(self._caches(), lambda path, rng: void(read_cached_clip(path))),
            "table": Target({"metadata.csv": CSV, "metadata.jsonl": JSON_LINES}, self._read_corpus, mutate_text),
            "splits": Target({"splits.json": SPLITS}, self._read_corpus, mutate_json),
            "array": Target({"array": b""}, self._read_array, lambda content, others, rng: b""),
        }

    # --- what reads ---------------------------------------------------------------------------------------------

    def _read_video(self, path: Path, rng: random.Random) -> None:
        content = path.read_bytes()
        video: Any = rng.choice((path, path, str(path), content, io.BytesIO(content)))
        if rng.random() < 0.2:
            video = VideoPart(video, rng.choice((0, 0.1, 1.5, 50)), rng.choice((None, 60.0, 1e9)))
        how = rng.randrange(5)
        if how == 0:
            with VideoReader(video, rng.choice((25, 30, 1000, 0.1)), rng.choice((None, None, 25, 1e-4))) as reader:
                void(*map(np.shape, itertools.islice(reader, MOST_PICTURES)))  # which may be large
        elif how == 1:
            void(read_audio(video))
        elif how == 2:
            mux_audio(video, np.zeros(16000, np.float32), 16000, self.folder / "out.mp4")
        elif how == 3:
            with VideoReader(video) as reader:
                few = [picture for picture in itertools.islice(reader, 40) if picture.nbytes < MOST_BYTES]
            if few and len({frame.shape for frame in few}) == 1:
                void(self.speaker.feature_extractor.extract(np.stack(few), fps=25))
        else:
            with VideoReader(video) as reader:
                long = len([picture.shape for picture in itertools.islice(reader, 100)]) == 100
            if not long:
                void(self.speaker([video]))

    def _read_model(self, path: Path, rng: random.Random) -> None:
        place = self.folder / "changed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.model, place)
        shutil.copy(path, place / path.name)
        if rng.random() < 0.5:
            void(Generator.from_folder(place))
        else:
            void(Speaker.from_folder(place, "cpu")([{"video": self.frames, "fps": 25}]))

    def _read_network(self, path: Path, rng: random.Random) -> None:
        network = BY_TYPE[path.stem]
        place = self.folder / "changed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder / "networks" / path.stem, place)
        shutil.copy(path, place / "config.json")
        if rng.random() < 0.3:
            void(load_network(place, network.model_type))
        else:
            void(network.model_class.from_pretrained(place))

    def _read_information(self, path: Path, rng: random.Random) -> None:
        place = self.folder / "changed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.model, place)
        shutil.copy(path, place / path.name)
        facts = describe_model(place)
        void(report(facts, all_results=True), list_models(str(self.folder)))

    def _read_corpus(self, path: Path, rng: random.Random) -> None:
        place = self.folder / "corpus"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in ("a", "b", "c"):
            shutil.copy(self.sample, place / f"{name}.mp4")
        if path.name == "splits.json":
            (place / "metadata.csv").write_bytes(CSV)
        shutil.copy(path, place / path.name)
        corpus = open_corpus(place)
        for split in (None, "train", "test"):
            with contextlib.suppress(ValueError):
                void(corpus.load(split) if hasattr(corpus, "load") else corpus.clips)
        void(corpus.clips)

    def _read_array(self, path: Path, rng: random.Random) -> None:
        shape = tuple(rng.choice((0, 1, 2, 3, 4, 9, 40, 300)) for _ in range(rng.choice((1, 2, 3, 4, 4, 4, 5))))
        if rng.random() < 0.6:
            shape = (*shape[:1], rng.choice((1, 2, 48)), rng.choice((1, 3, 64)), 3)
        kind = rng.choice(("uint8", "uint8", "uint8", "float32", "int64", "bool", "object", "U3", "complex64"))
        video: Any = np.zeros(shape, kind) if np.prod(shape) < 10**6 else np.zeros((2, 8, 8, 3), np.uint8)
        if rng.random() < 0.5:
            video = self.frames[: rng.choice((0, 1, 2, 10))]
        arguments: dict[str, Any] = {"fps": rng.choice((25, 25, 25.0, 1e-3, 1e6, 30, *VALUES))}
        if rng.random() < 0.5:
            name = rng.choice(("landmarks", "mouth_boxes"))
            size = rng.choice(((len(video) if np.ndim(video) else 1, 468, 2), (4,), (10, 4), (0, 4), (10, 2)))
            filled = np.full(size, rng.choice((0, 1e30, -5, np.nan, 20)), rng.choice(("float32", "float64", "int64")))
            filled[..., -1:] += rng.choice((0, 30))
            arguments[name] = rng.choice((filled, filled, filled.tolist(), rng.choice(VALUES)))
        if rng.random() < 0.3:
            with VideoReader(video, rng.choice((25, *VALUES)), arguments["fps"]) as reader:
                void(*map(np.shape, itertools.islice(reader, MOST_PICTURES)))  # which may be large
        elif rng.random() < 0.2:
            void(Lip2WavFeatureExtractor(**{rng.choice(SETTINGS): rng.choice(VALUES)}))
        elif rng.random() < 0.2:
            samples = np.full(rng.choice((0, 1, 999)), rng.choice((0, np.nan, 3e38)), rng.choice(("f4", "f8", "i2")))
            mux_audio(video, samples, rng.choice((16000, 1, 0, 8001, 384000)), self.folder / "out.mp4", 25)
        else:
            frames = len(video) / 25 if np.ndim(video) else 0
            if not isinstance(arguments["fps"], (int, float)) or frames * 25 / max(arguments["fps"], 0.01) < 20:
                void(self.speaker([{"video": video, **arguments}]))

    # --- good files ---------------------------------------------------------------------------------------------

    def _videos(self) -> dict[str, bytes]:
        kinds = (
            *(("mp4", "libx264", "yuv420p"), ("matroska", "libx264", "yuv420p"), ("mpegts", "libx264", "yuv420p")),
            *(("mpeg", "mpeg1video", "yuv420p"), ("mpeg", "mpeg2video", "yuv420p"), ("avi", "mjpeg", "yuvj420p")),
            *(("avi", "mpeg4", "yuv420p"), ("webm", "libvpx", "yuv420p"), ("webm", "libvpx-vp9", "yuv420p")),
            *(("gif", "gif", "rgb8"), ("flv", "flv", "yuv420p"), ("mov", "prores_ks", "yuv422p10le")),
            *(("nut", "ffv1", "bgr0"), ("h264", "libx264", "yuv420p"), ("asf", "wmv2", "yuv420p")),
            *(("mp4", "libx265", "yuv420p10le"), ("apng", "apng", "rgb24"), ("mpegts", "mpeg2video", "yuv422p")),
            *(("ogg", "libtheora", "yuv420p"), ("mxf", "mpeg2video", "yuv420p"), ("ivf", "libvpx", "yuv420p")),
            *(("mp4", "libsvtav1", "yuv420p"), ("avi", "rawvideo", "bgr24"), ("yuv4mpegpipe", "rawvideo", "yuv420p")),
        )
        videos = {}
        for number, (container, codec, pixels) in enumerate(kinds):
            with contextlib.suppress(Exception):  # an encoder that this build of FFmpeg has not
                videos[f"{number}.{container}"] = self._video(container, codec, pixels, sound=number < 7)
        return videos

    def _video(self, container: str, codec: str, pixels: str, sound: bool) -> bytes:
        path = self.folder / "seed"
        with av.open(str(path), "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 80, pixels
            if sound:
                track = output.add_stream("mp2" if container in ("mpeg", "mpegts", "avi") else "aac", rate=16000)
            for number, picture in enumerate(self.frames):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(96, 80, pixels)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if sound:
                block = av.AudioFrame.from_ndarray(np.zeros((1, 6400), np.int16), "s16", "mono")
                block.sample_rate = 16000
                output.mux(track.encode(block))
                output.mux(track.encode(None))
        return path.read_bytes()

    def _playlists(self) -> dict[str, bytes]:
        part = self.folder / "part.ts"
        part.write_bytes(self._video("mpegts", "libx264", "yuv420p", sound=False))
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
        for _ in range(3):
            lines += ["#EXTINF:0.4,", str(part), "#EXT-X-DISCONTINUITY"]
        master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=96x80\nlist.m3u8\n"
        return {
            "list.m3u8": "\n".join(lines).encode(),
            "master.m3u8": master.encode(),
            "list.ffconcat": f"ffconcat version 1.0\nfile '{part.name}'\nduration 0.4\n".encode(),
        }

    def _sounds(self) -> dict[str, bytes]:
        sounds = {}
        for codec in ("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le", "pcm_alaw", "adpcm_ms"):
            path = self.folder / "seed.wav"
            with av.open(str(path), "w") as output:
                track = output.add_stream(codec, rate=16000, layout="mono")
                block = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "mono")
                block.sample_rate = 16000
                resampler = av.AudioResampler(track.codec_context.format, "mono", 16000)
                for piece in resampler.resample(block):
                    output.mux(track.encode(piece))
                output.mux(track.encode(None))
            sounds[f"{codec}.wav"] = path.read_bytes()
        return sounds

    def _of_model(self, name: str) -> dict[str, bytes]:
        return {name: (self.model / name).read_bytes()}

    def _information(self) -> dict[str, bytes]:
        return self._of_model("config.json") | {"README.md": CARD}

    def _networks(self) -> dict[str, bytes]:
        """Small ones of every other type, saved; their configurations by type."""
        configs = {}
        for model_type, fields in SMALL.items():
            network, place = BY_TYPE[model_type], self.folder / "networks" / model_type
            network.model_class(network.config_class(**fields)).save_pretrained(place)
            configs[f"{model_type}.json"] = (place / "config.json").read_bytes()
        return configs

    def _caches(self) -> dict[str, bytes]:
        path = self.folder / "clip.safetensors"
        regions = np.zeros((10, 48, 72), np.uint8)
        write_cached_clip(path, CachedClip(regions, np.zeros(6400, np.int16), np.zeros(10, np.int8)))
        return {path.name: path.read_bytes()}


def void(*values: Any) -> None:
    """Nothing: what was read is not used, and generators have run to their end."""


SMALL: dict[str, dict[str, Any]] = {
    "lip2wav_critic": {"channels": [4, 8], "strides": [8, 8], "spectral_channels": [4], "window_samples": 3200},
    "lip2wav_speech_encoder": {"hidden_size": 8, "num_layers": 1, "num_mel_bins": 8},
    "lip2wav_syncnet": {"hidden_size": 8, "num_layers": 1, "stem_channels": 4, "visual_channels": [4, 4]},
    "lip2audspec_autoencoder": {"encoder_sizes": [8], "code_size": 4, "decoder_sizes": [8]},
}
RECIPES = {f"{name}.yaml": (CONFIGS / f"{name}.yaml").read_bytes() for name in ("grid_s1", "tiny", "syncnet")}
CARD = (
    b"---\nlibrary_name: transformers\nmodel-index:\n- name: a\n  results:\n  - task: {type: video-to-speech}\n"
    b"    dataset: {name: GRID, type: grid, split: test}\n    metrics:\n    - {type: wer, value: 3.5, name: WER}\n"
    b"---\n# A card\n"
)
FACTS = b"name: A voice\nlicense: mit\ndatasets: [grid]\ncore_hours: 3.5\nwatts: 20\ntraining: 8 steps\n"
REPORT = (
    b'{"checked": 3, "check": "fast", "missing_speakers": ["s3"], "notes": [],'
    b' "defects": [{"speaker": "s1", "clip": "a", "kind": "no video", "detail": "x"}]}'
)
SETTINGS = ("frame_rate", "roi_height", "crop_width", "normalization_window", "max_gap", "detection_threshold")
TRANSCRIPTS = {
    "a.txt": b"Text:  BIN BLUE\nConf:  2\n\nWORD START END ASDSCORE\nBIN 0.1 0.3 2.0\nBLUE 0.3 0.5 1.0\n",
    "b.txt": b"bin blue at f two now\n",
    "a.vtt": b"WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\nbin <b>blue</b>\n\n00:01.600 --> 00:02.000\nat f\n",
    "a.srt": b"1\n00:00:00,000 --> 00:00:01,500\nbin blue\n\n2\n00:00:01,600 --> 00:00:02,000\nat f\n",
    "a.align": b"0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n",
    "a.TextGrid": b'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 1\n'
    b"tiers? <exists>\nsize = 1\n"
    b'item []:\n    item [1]:\n        class = "IntervalTier"\n        name = "words"\n'
    b"        xmin = 0\n        xmax = 1\n"
    b"        intervals: size = 1\n        intervals [1]:\n"
    b'            xmin = 0\n            xmax = 1\n            text = "bin"\n',
}
GRAMMARS = {
    "a.jsgf": b"#JSGF V1.0;\ngrammar commands;\npublic <sentence> = (place | set) <colour> [now];\n"
    b"<colour> = blue | green | red | white;\n",
    "a.txt": b"bin blue at f two now\nset red by a one again\n",
}
ARPA = (
    b"\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1.0\t<s>\t-0.3\n-1.0\tbin\t-0.3\n-1.0\t</s>\n\n"
    b"\\2-grams:\n-0.2\t<s> bin\n\n\\end\\\n"
)
CSV = (
    b"file_name,transcription,speaker,split,start,end\na.mp4,bin blue,one,train,0,1\n"
    b"b.mp4,at f,two,test,,\nc.mp4,now,one,train,0.2,0.9\n"
)
WORDS = [{"word": "bin", "start": 0, "end": 1}]
JSON_LINES = b"\n".join(
    json.dumps({"file_name": f"{name}.mp4", "transcription": "bin blue", "words": WORDS}).encode() for name in "abc"
)
SPLITS = b'{"train": {"one": ["a", "c"]}, "test": {"two": ["b"]}}'
