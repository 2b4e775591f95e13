"""The files that `lip2wav speak` makes: which, of which video, under which name, and what is in them."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import re
import shutil
import stat
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..corpora.clips import OTHER_VIDEO_SUFFIXES, VIDEO_SUFFIXES, visible_files
from ..errors import counted
from ..files import check_writable, replacing, write_text
from .messages import CommandError, print_error


if TYPE_CHECKING:
    import numpy as np

    from ..generator import Word
    from ..speaking import SpeechStream, SpokenVideo


SUFFIXES = (*VIDEO_SUFFIXES, *OTHER_VIDEO_SUFFIXES)  # of the videos in a folder
SOUND_SUFFIXES = (".wav", ".flac")
SPEAKING_VIDEO_SUFFIX = ".mp4"
SUBTITLE_SUFFIXES = (".srt", ".vtt")
OUTPUT_SUFFIXES = (*SOUND_SUFFIXES, SPEAKING_VIDEO_SUFFIX, *SUBTITLE_SUFFIXES)
PLOT_SUFFIXES = (".png", ".svg", ".pdf")

STDIN = STDOUT = "-"

LONGEST_CUE = 42  # characters of a subtitle
LONGEST_PAUSE = 0.4  # seconds between two words of a subtitle: more lies between sentences


class ReadOnce:
    """
    A video that can be read once only, from a pipe, kept until the command ends.

    Args:
        path (`str`): of the pipe; `STDIN` for standard input.
        name (`str`): what messages call it.

    Raises:
        CommandError: if nobody has piped anything into standard input.
    """

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="lip2wav-")
        if path == STDIN and sys.stdin.isatty():
            raise CommandError("-: standard input is the terminal. Pipe a video into the command, or name a file.")
        with open(self._path, "wb") as copy:
            if path == STDIN:
                shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 18)
                return
            with open(path, "rb", buffering=0) as pipe:
                shutil.copyfileobj(pipe, copy, 1 << 18)

    @property
    def _path(self) -> Path:
        return Path(self._folder.name, "video")

    def open(self) -> io.BufferedReader:
        """A file object of its own for each reader."""
        return _Named(self._path, self.name)


class _Named(io.BufferedReader):
    """A file that is called otherwise than its path."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(io.FileIO(path))
        self._called = name

    @property
    def name(self) -> str:
        return self._called


@dataclass
class Job:
    """One video, and the files to make of it; `pipe` where it can be read once only; and whether its sound goes to
    standard output."""

    video: str
    outputs: list[Path] = field(default_factory=list)
    plot: Path | None = None
    pipe: ReadOnce | None = None
    to_stdout: bool = False

    @property
    def source(self) -> str | BinaryIO:
        """What readers take; a new one for each."""
        return self.video if self.pipe is None else self.pipe.open()

    @property
    def files(self) -> list[Path]:
        """All files to write."""
        return [*self.outputs, *filter(None, [self.plot])]

    @property
    def names(self) -> list[str]:
        """Of all that is written, as they are given."""
        return [*([STDOUT] if self.to_stdout else []), *map(str, self.files)]


def check_stdout() -> None:
    """
    Raises:
        CommandError: if sound would be written onto a terminal.
    """
    if sys.stdout.isatty():
        raise CommandError("-o -: standard output is the terminal. Pipe it into a player, or name a file.")


def read_pipes(jobs: Sequence[Job]) -> None:
    """Read what can be read once only, for all outputs: standard input (`-`), FIFOs, `<(…)` of a shell."""
    for job in jobs:
        path = job.video
        if path == STDIN:
            job.video = "stdin"
        elif not (os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)):
            continue
        job.pipe = ReadOnce(path, job.video)


def find_videos(named: Sequence[str]) -> list[str]:
    """
    The videos that are meant: a folder stands for the video files in it, of any kind, sorted by name; where none lies
    in it, for those in its folders, as a corpus has one for each speaker. Else a warning counts these.

    Raises:
        CommandError: if a folder holds none.
    """
    videos, beside = [], {}
    for name in named:
        if name == STDIN or not os.path.isdir(name):
            videos.append(name)
            continue
        inside = _videos_in(name, "*")
        deeper = _videos_in(name, "*/**/*")
        if not inside + deeper:
            raise CommandError(f"{name}: there is no video in this folder ({', '.join(SUFFIXES)}).")
        videos += inside or deeper
        beside[name] = deeper if inside else []
    for name, deeper in beside.items():
        _warn_of_left(name, sorted(set(deeper) - set(videos)))
    return videos


def _warn_of_left(folder: str, videos: Sequence[str]) -> None:
    """Say which videos in the folders of a folder are not taken, if there are any."""
    folders = list(dict.fromkeys(os.path.dirname(video) for video in videos))
    if folders:
        number = counted(len(folders), "sub-folder")
        print_error(
            f"warning: {folder}: without {counted(len(videos), 'video')} in {number}; to take them too, name the"
            f" folders, such as {folders[0]}."
        )


def _videos_in(folder: str, pattern: str) -> list[str]:
    return [str(path) for path in visible_files(Path(folder), pattern) if path.suffix.lower() in SUFFIXES]


def plan_jobs(
    videos: Sequence[str], outputs: Sequence[str | os.PathLike[str]] = (), plot: Path | None = None
) -> list[Job]:
    """
    Which files to write for which video.

    Args:
        videos (sequence of `str`): files or URLs.
        outputs (sequence of `str` or `os.PathLike`, *optional*): files, of one video; or folders, for NAME.wav of each
            video; `STDOUT` for the sound of one video as wav. The current folder by default.
        plot (`Path`, *optional*): a picture, or a folder.

    Raises:
        CommandError: where a target does not fit: several videos for one file, an unknown suffix, a folder that cannot
            be written, the same video twice, the video itself.
        VideoError: where that video is none.
    """
    for video in videos:
        if videos.count(video) > 1:
            raise CommandError(f"{video}: this video is given more than once. Name it once.")
    names = _distinct_names(videos)
    jobs = [Job(video) for video in videos]
    for target in dict.fromkeys(outputs or [Path()]):
        if target == STDOUT:
            if len(videos) > 1:
                raise CommandError(f"-o -: one pipe cannot hold {len(videos)} videos. Name a folder instead.")
            check_stdout()
            jobs[0].to_stdout = True
            continue
        for job, path in zip(jobs, _targets(Path(target), names, OUTPUT_SUFFIXES, ".wav", "-o"), strict=True):
            job.outputs += [] if path in job.outputs else [path]
    if plot == Path(STDOUT):
        raise CommandError("--plot -: no picture is written into a pipe. Name a file, such as a.png, or a folder.")
    if plot is not None:
        for job, path in zip(jobs, _targets(plot, names, PLOT_SUFFIXES, ".png", "--plot"), strict=True):
            job.plot = path
    for job in jobs:
        for path in job.outputs:
            if os.path.exists(job.video) and path.exists() and os.path.samefile(job.video, path):
                if path.suffix.lower() in SOUND_SUFFIXES:
                    _check_pictures(job.video)
                what = f"-o {path}: this" if outputs else f"{job.video}: its speech"
                raise CommandError(f"{what} would overwrite {job.video} itself. Choose another name with -o.")
    return jobs


def _check_pictures(video: str) -> None:
    """
    Raises:
        VideoError: if a file is no video: another name for its speech would not help.
    """
    from ..sources import Source
    from ..video import open_pictures

    with contextlib.closing(Source(video)) as source:
        container, _ = open_pictures(source)
        container.close()


def _targets(
    target: Path, names: list[str], suffixes: tuple[str, ...], default_suffix: str, option: str
) -> list[Path]:
    """One file for each video: the target itself, or files in it if it is a folder."""
    is_file = target.suffix.lower() in suffixes
    if is_file and target.is_dir():
        raise CommandError(f"{option} {target}: this is a folder. Name a file in it, or give the folder another name.")
    if is_file and len(names) > 1:
        raise CommandError(f"{option} {target}: one file cannot hold {len(names)} videos. Name a folder instead.")
    if not is_file and target.suffix and not target.is_dir():
        raise CommandError(
            f"{option} {target}: files of the kind {target.suffix!r} are not written. Use {', '.join(suffixes)} or a"
            " folder."
        )
    check_writable(target if not is_file else target.parent, f"{option} {target}", CommandError)
    return [target] if is_file else [target / f"{name}{default_suffix}" for name in names]


def _distinct_names(videos: Sequence[str]) -> list[str]:
    """
    File names without suffix. Where they would be the same, the folder comes first, and if that does not help, the
    suffix last, then the folders above: `s1/a.mpg s2/a.mpg` -> `s1-a s2-a`.
    """
    paths = []
    for video in videos:
        is_url = re.match(r"(file|https?):", video, re.IGNORECASE)
        name = "stdin" if video == STDIN else video
        paths.append(Path(urllib.parse.unquote(urllib.parse.urlsplit(video).path) if is_url else name).absolute())
    candidates = [[path.stem for path in paths], [f"{path.parent.name}-{path.stem}" for path in paths]]
    for depth in range(2, max(len(path.parts) for path in paths)):
        candidates.append(["-".join([*path.parts[1:][-depth:-1], path.stem, path.suffix[1:]]) for path in paths])
    names = list(candidates[0])
    for longer in candidates[1:]:
        clashing = {name for name in names if names.count(name) > 1}
        names = [long if name in clashing else name for name, long in zip(names, longer, strict=True)]
    for name, video in zip(names, videos, strict=True):
        if names.count(name) > 1:
            raise CommandError(
                f"{video}: another video would have the same output name, {name}. Do them one at a time."
            )
    return names


def write_outputs(job: Job, stream: SpeechStream, frame_rate: float) -> SpokenVideo:
    """
    Write the files of a job, the sound while the video is read; makes their folders. They appear at the end, each
    whole; if anything goes wrong before, or Ctrl-C is pressed, none does. A pipe gets the sound as it is made.

    Args:
        job ([`Job`]): which.
        stream ([`SpeechStream`]): the speech of the video; with crops where a picture is wanted.
        frame_rate (`float`): of the crops, in frames/s.

    Returns:
        [`SpokenVideo`]: what was said; without `audio`, unless there is a picture of it.
    """
    from ..audio import mux_audio, open_audio

    first = next(stream)  # before anything is made: most faults are known then
    blocks: Iterator[np.ndarray] = itertools.chain([first], stream)
    rate = stream.sampling_rate
    audio: list[np.ndarray] = []
    with contextlib.ExitStack() as stack:
        writers: list[Callable[[np.ndarray], object]] = [audio.append] if job.plot else []
        videos = []
        if job.to_stdout:
            from ..live.player import SoundPipe

            pipe = SoundPipe(sys.stdout.buffer, rate, rate)
            writers.append(functools.partial(pipe.write, taken=None))
        for path in job.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix.lower() in SOUND_SUFFIXES:
                writers.append(stack.enter_context(open_audio(path, rate)))
            elif path.suffix.lower() == SPEAKING_VIDEO_SUFFIX:
                videos.append(path)
        sound = _handed_to(writers, blocks)
        if videos:
            mux_audio(job.source, sound, rate, videos[0])
        for _ in sound:
            pass
    for path in videos[1:]:
        with replacing(path) as temporary:
            shutil.copyfile(videos[0], temporary)
    result = stream.result()
    if job.plot:
        import numpy as np

        result["audio"] = np.concatenate(audio)
    _write_texts(job, result, frame_rate)
    return result


def _handed_to(
    writers: Sequence[Callable[[np.ndarray], object]], blocks: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    for block in blocks:
        for write in writers:
            write(block)
        yield block


def _write_texts(job: Job, result: SpokenVideo, frame_rate: float) -> None:
    """The files of a job that are written at the end: subtitles and picture."""
    for path in job.outputs:
        if path.suffix.lower() in SUBTITLE_SUFFIXES:
            write_text(path, subtitles(_as_written(result), path.suffix.lower()))
    if job.plot is not None:
        from ..evaluation.plotting import plot_speech

        job.plot.parent.mkdir(parents=True, exist_ok=True)
        title = f'{os.path.basename(job.video)}: "{result["written"]}"'
        plot_speech(
            job.plot, result["audio"], result["sampling_rate"], result["words"], result["crops"], frame_rate, title
        )


def _as_written(result: SpokenVideo) -> list[Word]:
    """The words as transcripts write them, where there are as many: "Good" for "good", but not "25" for two words."""
    written, words = result["written"].split(), result["words"]
    if len(written) != len(words):
        return words
    return [{**word, "word": form} for word, form in zip(words, written, strict=True)]


def subtitles(words: Sequence[Word], suffix: str = ".srt") -> str:
    """
    Words as subtitles. One ends where a pause of 0.4 s follows, as between sentences, or where it would grow beyond
    42 characters.

    Args:
        words (sequence of [`Word`]): with times in seconds.
        suffix (`str`, *optional*, defaults to `".srt"`): `".srt"` for SubRip or `".vtt"` for WebVTT.
    """
    cues: list[list[Word]] = []
    for word in words:
        if cues and word["start"] - cues[-1][-1]["end"] < LONGEST_PAUSE:
            if len(" ".join(each["word"] for each in [*cues[-1], word])) <= LONGEST_CUE:
                cues[-1].append(word)
                continue
        cues.append([word])
    separator = "," if suffix == ".srt" else "."
    blocks = [] if suffix == ".srt" else ["WEBVTT\n"]
    for number, cue in enumerate(cues, 1):
        start, end = (_clock(seconds, separator) for seconds in (cue[0]["start"], cue[-1]["end"]))
        blocks.append(f"{number}\n{start} --> {end}\n{' '.join(word['word'] for word in cue)}\n")
    return "\n".join(blocks)


def _clock(seconds: float, separator: str) -> str:
    """`HH:MM:SS,mmm`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{separator}{rest % 1000:03}"


__all__ = ["Job", "find_videos", "plan_jobs", "subtitles", "write_outputs"]
