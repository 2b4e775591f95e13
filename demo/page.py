"""The page: what is on it, and what its button and its API endpoints do."""

import contextlib
import html
import json
import logging
import os
import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import gradio as gr
from answers import METRICS, Answer, Limits, RequestError, answer_with, check_video, compare_with, metric_functions
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

import lip2wav_hf
from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavStreamer, VideoToSpeechPipeline
from lip2wav_hf.errors import install_extra
from lip2wav_hf.evaluation.systems import reads_words
from lip2wav_hf.grammar import GRAMMAR, VOCABULARY, Grammar
from lip2wav_hf.live.socket import LiveError, LiveLimits, LiveServer, place
from lip2wav_hf.live.streamer import live_speaker
from lip2wav_hf.speaking import Speaker


OF_GRID = "the words of GRID"
MOST_SENTENCES = 30  # that the page lists
SAMPLE = str(Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4")
NONE = "(none)"
KEEP_SECONDS = 900  # how long uploads and answers stay on the server
COMPARISONS = "comparisons"  # address, and folder in the cache, of the pages that compare
FAULT = "Something went wrong on this server. Try again; if it happens again, try another video."
QUEUE_SIZE = 64  # requests that wait; more are turned away with a message

CSS = """
.spoken:not(.loaded)::before { content: "Loading the video …"; display: block; padding: .7rem 1rem; opacity: .6; }
#video button[aria-label="Trim video to selection"] { display: none; }
#compared iframe { display: block; width: 100%; height: 85vh; min-height: 42rem; border-radius: .5rem;
  border: 1px solid var(--border-color-primary); background: #fff; }
#video:has(video[data-no-preview])::after { content: "This browser cannot show it. It may be readable all the same.";
  display: block; padding: .7rem 1rem; opacity: .75; }
body:has(#page-status [role="alert"]) #video::after { display: none; }
"""

# A format that the browser cannot preview is no error: the server may read it all the same. What it then says of the
# video counts, and the note goes; it also goes with its video, which no event tells after an error. The place of a
# video that is still loading says so, rather than being an empty box. And Gradio's player fetches 31 MB of ffmpeg for
# a button that cuts videos, which is no use to a phone.
HEAD = """<script>
document.addEventListener("error", (event) => {
  if (!(event.target instanceof HTMLVideoElement)) return;
  event.stopImmediatePropagation();
  event.target.toggleAttribute("data-no-preview", true);
}, true);
for (const name of ["loadeddata", "emptied"]) document.addEventListener(name, (event) => {
  event.target.removeAttribute?.("data-no-preview");
  event.target.closest?.(".spoken")?.classList.toggle("loaded", name === "loadeddata");
}, true);
const fetchAnything = window.fetch;
window.fetch = (resource, ...options) => String(resource?.url ?? resource).includes("/static/ffmpeg/")
  ? new Promise(() => {}) : fetchAnything(resource, ...options);
</script>"""

logger = logging.getLogger(__name__)


class Page:
    """
    The Gradio page of some checkpoints.

    Args:
        checkpoints (`dict[str, VideoToSpeechPipeline]`): Pipelines by name, the default one first.
        limits (`Limits`): What a video may measure.
        concurrency (`int`): How many videos are spoken at the same time; the others wait in the queue. And how many
            people speak live at the same time; the others are turned away.
        live (`bool`, *optional*, defaults to `False`): Whether there is the tab on which the webcam is spoken.
    """

    def __init__(
        self, checkpoints: dict[str, VideoToSpeechPipeline], limits: Limits, concurrency: int, live: bool = False
    ):
        self.checkpoints = checkpoints
        self.limits = limits
        self.concurrency = concurrency
        self._live = {name: _live_speaker(pipe) for name, pipe in checkpoints.items() if live and _speaks_live(pipe)}
        self.live_names = list(self._live)
        # Always the same threads: each thread that runs a network keeps memory of its own, and Gradio has 40 of them.
        self._workers = ThreadPoolExecutor(concurrency, thread_name_prefix="speak")

    # -----------------------------------------------------------------------------------------------------------------
    # What the button and the endpoints do
    # -----------------------------------------------------------------------------------------------------------------

    def answer(self, video: str | None, names: list[str]) -> list[Answer]:
        """One answer for each of the named checkpoints. Files go into the cache of Gradio, which removes them."""
        return self._workers.submit(self._answer, video, names).result()

    def _answer(self, video: str | None, names: list[str]) -> list[Answer]:
        path = check_video(video, self.limits)
        cache = Path(os.environ["GRADIO_TEMP_DIR"])
        remove_old_folders(cache, KEEP_SECONDS)
        folder = cache / "answers" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            return [answer_with(self.checkpoints[name], name, path, folder) for name in names]
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def compare(self, video: str | None, names: list[str]) -> str:
        """Address of a page on which the video is heard with its own sound and with that of each named checkpoint."""
        return self._workers.submit(self._compare, video, names).result()

    def _compare(self, video: str | None, names: list[str]) -> str:
        path = check_video(video, self.limits)
        cache = Path(os.environ["GRADIO_TEMP_DIR"])
        remove_old_folders(cache, KEEP_SECONDS)
        folder = cache / COMPARISONS / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            page = compare_with({name: self.checkpoints[name] for name in names}, path, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return page.relative_to(cache).as_posix()

    def live_server(self) -> LiveServer:
        """What speaks to the pages whose webcam is on."""
        return LiveServer(self._open_session, LiveLimits(self.concurrency))

    def _open_session(self, name: str) -> Lip2WavStreamer:
        name = name or self.live_names[0]
        if name not in self.live_names:
            raise LiveError(f"There is no model {name[:80]!r} that speaks live. Reload this page.")
        return Lip2WavStreamer.from_speaker(self._live[name])

    def warm_up(self) -> None:
        """Speak the example once in every thread, so that the first visitor waits no longer than the others."""
        answers = self._workers.map(lambda _: self._answer(SAMPLE, list(self.checkpoints)), range(self.concurrency))
        for answer in answers:
            shutil.rmtree(Path(answer[0].wav).parents[1], ignore_errors=True)

    def press_speak(self, video: str | None, checkpoint: str, second: str) -> list:
        """Values of all components of the result, or a message."""
        names = _chosen(checkpoint, second)
        start = time.perf_counter()
        try:
            answers = self.answer(video, names)
        except RequestError as error:
            return self._failure(str(error))
        except Exception:
            logger.exception("a video could not be answered")
            return self._failure(FAULT)
        return self._result(_success(time.perf_counter() - start, answers), answers)

    def press_compare(self, video: str | None, checkpoint: str, second: str) -> list[str]:
        """Values of the status and of the comparison, or a message."""
        try:
            address = html.escape(self.compare(video, _chosen(checkpoint, second)))
        except RequestError as error:
            return [_failed(str(error)), ""]
        except Exception:
            logger.exception("a video could not be compared")
            return [_failed(FAULT), ""]
        link = f'<a href="{address}" target="_blank" rel="noopener">Open the comparison in a window of its own</a>'
        done = '<div class="success" role="status">The comparison is below.</div>'
        return [done, f'<iframe src="{address}" title="Comparison of the sounds"></iframe><p>{link}</p>']

    def _failure(self, message: str) -> list:
        return self._result(_failed(message), [])

    def _clear_result(self) -> str:
        """JavaScript that gives the values of an empty result."""
        return f"() => {json.dumps(self._result('', []))}"

    def _result(self, status: str, answers: list[Answer]) -> list:
        """Values of all outputs of the button."""
        first, second = (*answers, None, None)[:2]
        waiting = gr.update(visible=not answers)
        return [status, waiting, *_show(first), *_show(second), *_show_original(answers), ""]

    def speak(self, video: str | None, checkpoint: str) -> tuple[str, str, dict]:
        """Speak a video: a WAV file, the video with the speech as an MP4 file, and text, word times and scores."""
        try:
            answer = self.answer(video, [checkpoint])[0]
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return answer.wav, answer.mp4, answer.details()

    def list_checkpoints(self) -> list[str]:
        """Names of the checkpoints, the default one first."""
        return list(self.checkpoints)

    # -----------------------------------------------------------------------------------------------------------------
    # What is on the page
    # -----------------------------------------------------------------------------------------------------------------

    def build(self) -> gr.Blocks:
        """The page, with its queue, not yet launched."""
        # Files older than KEEP_SECONDS go, looked for every minute; all of them when the server ends.
        with gr.Blocks(
            title="Speech from a silent face", analytics_enabled=False, delete_cache=(60, KEEP_SECONDS)
        ) as page:
            self._notes()
            if self.live_names:
                with gr.Tabs():
                    with gr.Tab("A video"):
                        self._speak_a_video()
                    with gr.Tab("Live"):
                        gr.HTML(place(self.live_names), elem_id="live", padding=False)
            else:
                self._speak_a_video()
        return page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=self.concurrency)

    def _speak_a_video(self) -> None:
        """What is on the page for videos, and what its buttons do."""
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                video, checkpoint, second, button, compare = self._inputs()
            with gr.Column(scale=3, min_width=300):
                status = gr.HTML("", elem_id="page-status", padding=False)
                waiting = gr.Markdown("*The answer will be here.*", elem_classes="waiting")
                with gr.Row():
                    heads = [self._answer_head("first"), self._answer_head("second")]
        with gr.Row():
            details = [self._answer_details("first"), self._answer_details("second")]
        original = self._comparison()
        compared = gr.HTML("", elem_id="compared", padding=False)
        answers = [component for pair in zip(heads, details, strict=True) for part in pair for component in part]
        outputs = [status, waiting, *answers, *original, compared]
        button.click(
            self.press_speak,
            [video, checkpoint, second],
            outputs,
            api_visibility="private",
            show_progress_on=[status],
            concurrency_limit=self.concurrency,
            concurrency_id="speak",
        )
        compare.click(
            self.press_compare,
            [video, checkpoint, second],
            [status, compared],
            api_visibility="private",
            show_progress_on=[status],
            concurrency_limit=self.concurrency,
            concurrency_id="speak",
        )
        # The answer to another video goes, in the browser itself.
        video.change(None, None, outputs, js=self._clear_result())
        self._endpoints(video, checkpoint)

    def _notes(self) -> None:
        gr.Markdown(
            "# Speech from a silent face\n"
            "The model watches the mouth of a person in a video and says what it seems to say. It never gets the sound"
            " of the video, which is only compared with the answer.\n\n"
            f"**It knows {self._knowledge()}** and nothing else: whatever is said, it answers with these, in the"
            " voice it has learnt. **Only with consent:** use videos of yourself, or of people who have agreed."
        )
        slots = "\n".join(f"| {slot} | {', '.join(words)} |" for slot, words in GRAMMAR.items())
        known = {name: known_by(pipe) for name, pipe in self.checkpoints.items()}
        others = "\n".join(f"- {_escape(name)}: {_escape(words)}" for name, words in known.items() if words != OF_GRID)
        with gr.Accordion("The words, and what becomes of your video", open=False):
            gr.Markdown(
                f"{others}\n\n"
                "The bundled checkpoint was trained on recordings of the GRID corpus, nearly all of one speaker: a"
                " face that looks straight into the camera and says sentences of six words, one from each line, as in"
                f" “bin blue at f two now”.\n\n| slot | words |\n|---|---|\n{slots}\n\n"
                "What it says is a guess, never evidence of what was said. It is not for listening in on anybody,"
                " nor for putting words into somebody's mouth.\n\n"
                f"Your video stays on this server for {KEEP_SECONDS // 60} minutes at most and is given to nobody"
                " else.\n\n"
                "If the preview stays empty, your browser does not play this format (GRID's own MPEG-1 is one of"
                " them). It can still be read."
            )

    def _knowledge(self) -> str:
        """What the models know, for a sentence."""
        known = set(map(known_by, self.checkpoints.values()))
        return f"{len(VOCABULARY)} words" if known == {OF_GRID} else "the words of the checkpoint that you choose"

    def _inputs(self) -> tuple[gr.Video, gr.Dropdown, gr.Dropdown, gr.Button, gr.Button]:
        names = self.list_checkpoints()
        video = gr.Video(
            label=f"Video (up to {self.limits.seconds:g} s, {self.limits.megabytes:g} MB)",
            sources=["upload", "webcam"],
            include_audio=True,
            elem_id="video",
        )
        gr.Examples([[SAMPLE]], [video], label="Example: a rendered face")
        with gr.Row():
            checkpoint = gr.Dropdown(names, value=names[0], label="Checkpoint", elem_id="checkpoint", min_width=140)
            second = gr.Dropdown(
                [NONE, *names],
                value=NONE,
                label="Compare with",
                elem_id="second",
                min_width=140,
                visible=len(names) > 1,
            )
        button = gr.Button("Speak", variant="primary", elem_id="speak")
        compare = gr.Button("Compare in turn", elem_id="compare")
        return video, checkpoint, second, button, compare

    def _answer_head(self, place: str) -> list:
        with gr.Column(visible=False, min_width=300) as column:
            text = gr.Markdown(elem_id=f"{place}-text", elem_classes="sentence")
            speech = gr.Audio(
                label="Speech", type="filepath", interactive=False, buttons=["download"], elem_id=f"{place}-speech"
            )
            with gr.Row():
                wav = gr.DownloadButton("Sound (.wav)", elem_id=f"{place}-wav", min_width=120)
                mp4 = gr.DownloadButton("Video (.mp4)", elem_id=f"{place}-mp4", min_width=120)
            words = gr.Markdown(elem_id=f"{place}-words")
        return [column, text, speech, wav, mp4, words]

    def _answer_details(self, place: str) -> list:
        with gr.Column(visible=False, min_width=300) as column:
            title = gr.Markdown()
            picture = gr.Image(
                type="filepath",
                interactive=False,
                show_label=False,
                buttons=["fullscreen"],
                elem_id=f"{place}-picture",
            )
            with gr.Row():
                with gr.Column(min_width=140):
                    gr.Markdown("The video with its new sound")
                    spoken = _answer_video(f"{place}-video")
                with gr.Column(min_width=140):
                    gr.Markdown("What the model sees: the tracked mouth")
                    mouth = _answer_video(f"{place}-mouth")
        return [column, title, picture, spoken, mouth]

    def _comparison(self) -> list:
        with gr.Column(visible=False) as column:
            gr.Markdown("### Beside the original sound")
            with gr.Row():
                with gr.Column(min_width=300):
                    sound = gr.Audio(
                        label="Original sound", type="filepath", interactive=False, buttons=[], elem_id="original"
                    )
                with gr.Column(min_width=300):
                    table = gr.Markdown(elem_id="scores")
        return [column, sound, table]

    def _endpoints(self, video: gr.Video, checkpoint: gr.Dropdown) -> None:
        """`/speak` and `/checkpoints`, for `gradio_client`. Nothing of them is to be seen on the page."""
        outputs = [
            gr.File(label="speech", visible=False),
            gr.File(label="video with speech", visible=False),
            gr.JSON(label="details", visible=False),
        ]
        trigger = gr.Button(visible=False)
        trigger.click(
            self.speak,
            [video, checkpoint],
            outputs,
            api_name="speak",
            concurrency_limit=self.concurrency,
            concurrency_id="speak",
        )
        gr.api(self.list_checkpoints, api_name="checkpoints", queue=False)


def _answer_video(name: str) -> gr.Video:
    """A video of an answer; until the browser has its first picture, the place says that it is coming."""
    return gr.Video(elem_id=name, elem_classes="spoken", interactive=False, buttons=[], show_label=False)


def remove_old_folders(cache: Path, seconds: float) -> None:
    """Remove answers and comparisons older than this many seconds, and the empty folders that Gradio leaves of old
    files."""
    oldest, ours = time.time() - seconds, ("answers", COMPARISONS)
    for folder in (*(each for name in ours for each in cache.glob(f"{name}/*")), *cache.glob("*")):
        with contextlib.suppress(OSError):  # not empty, or another request has been here
            if folder.name not in ours and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder) if folder.parent.name in ours else folder.rmdir()


def comparison_routes(cache: str) -> list[Mount]:
    """The addresses of the pages that compare, to be put into the application of the page."""
    folder = Path(cache, COMPARISONS)
    folder.mkdir(parents=True, exist_ok=True)
    return [Mount(f"/{COMPARISONS}", StaticFiles(directory=folder))]


def known_by(pipe: VideoToSpeechPipeline) -> str:
    """What a model answers with: its phrases where they are few, else how many words it knows, and some of them."""
    config: Any = pipe.model.config
    if not reads_words(pipe):
        return "it reads no words"
    grammar = Grammar.of(config.grammar) if config.grammar else None
    if grammar is not None and grammar.count() <= MOST_SENTENCES:
        return "; ".join(config.written(sentence) for sentence in grammar.sentences())
    if config.units.kind != "words":
        return "any words, which it spells"
    if set(VOCABULARY) == set(config.units.vocabulary):
        return OF_GRID
    return f"{len(config.units.vocabulary)} words, such as {', '.join(config.units.vocabulary[-MOST_SENTENCES:])}"


def _live_speaker(pipe: VideoToSpeechPipeline) -> Speaker:
    speaker = Speaker(pipe.model, cast(Lip2WavFeatureExtractor, pipe.feature_extractor))
    return live_speaker(speaker, pipe.model.name_or_path)


def _speaks_live(pipe: VideoToSpeechPipeline) -> bool:
    """Whether a model can speak picture by picture: not every system can."""
    try:
        Lip2WavStreamer(pipe.model, cast(Lip2WavFeatureExtractor, pipe.feature_extractor))
    except ValueError:
        return False
    return not pipe.model.config.speaker_embedding_size


def _chosen(checkpoint: str, second: str) -> list[str]:
    """Names of the checkpoints that are asked for."""
    return [checkpoint] if second in (NONE, checkpoint) else [checkpoint, second]


def _failed(message: str) -> str:
    return f'<div class="failure" role="alert">{html.escape(message)}</div>'


def _show(answer: Answer | None) -> list:
    """Values of an answer's components, in the order of `Page._answer_head` and `Page._answer_details`."""
    if answer is None:
        return [gr.update(visible=False), *[None] * 5, gr.update(visible=False), *[None] * 4]
    name = _escape(answer.checkpoint)
    doubts = f"\n\n*Probably wrong: {'; '.join(answer.doubts)}.*" if answer.doubts else ""
    text = f"{name} says\n\n## {_escape(answer.written) or '(no words)'}{doubts}"
    head = [gr.update(visible=True), text, answer.wav, answer.wav, answer.mp4, _word_table(answer)]
    title = f"### What {name} makes of it, over time"
    return [*head, gr.update(visible=True), title, answer.picture, answer.mp4, answer.mouth]


def _word_table(answer: Answer) -> str:
    if not answer.words:
        return ""
    rows = "\n".join(
        f"| {_escape(word['word'])} | {word['start']:.2f} – {word['end']:.2f} s | {word['confidence']:.0%} |"
        for word in answer.words
    )
    return f"| word | time | confidence |\n|---|---|---|\n{rows}"


def _show_original(answers: list[Answer]) -> list:
    """Values of the components of `Page._comparison`."""
    original = answers[0].original if answers else None
    if original is None:
        return [gr.update(visible=False), None, None]
    return [gr.update(visible=True), original, _score_table(answers)]


def _score_table(answers: list[Answer]) -> str:
    if not metric_functions():
        return f"Scores need the metrics: {install_extra('evaluate')}."
    heads = " | ".join(_escape(answer.checkpoint) for answer in answers)
    rows = "\n".join(
        f"| {title} | {' | '.join(f'{a.scores[name]:.2f}' if name in a.scores else '–' for a in answers)} |"
        for name, title in METRICS.items()
    )
    return (
        f"| score against the original | {heads} |\n|---|{'---|' * len(answers)}\n{rows}\n\n"
        "PESQ: quality, from about 1 to 4.5. STOI, ESTOI: intelligibility, up to 1. More is better."
    )


def _success(seconds: float, answers: list[Answer]) -> str:
    pipeline_seconds = sum(answer.seconds for answer in answers)
    return (
        f'<div class="success" role="status">Answered in {seconds:.2f} s, of which {pipeline_seconds:.2f} s were the'
        " model's.</div>"
    )


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]()#+!|<>~" else character for character in text)
