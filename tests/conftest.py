"""What all tests share: no network, tiny models, a synthetic face, the built pages, real data where there are any."""

import contextlib
import gc
import hashlib
import multiprocessing
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import pytest
from filelock import FileLock

import warm_processes


# What is imported and collected lasts until the end: to search it for garbage again and again is a tenth of the time.
gc.disable()

# Before anything imports huggingface_hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]

LOOPBACK = ("127.", "::1", "localhost")

# A network of every kind of layer, small enough for a test.
TINY_CONFIG = {
    "hidden_size": 16,
    "stem_channels": 4,
    "visual_channels": [4, 8],
    "num_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "attention_window": 3,
    "num_mel_layers": 1,
    "num_mel_bins": 8,
    "num_decoder_layers": 1,
}


def pytest_configure(config):
    """One server of processes for all; the processes that pytest-xdist starts, and their tests, find it."""
    if not hasattr(config, "workerinput"):
        resources = contextlib.ExitStack()
        resources.enter_context(temporary_files())
        resources.enter_context(warm_processes.server_of_all())
        config.add_cleanup(resources.close)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs):
    """The processes of pytest-xdist are forked from the server too: what all of them import is imported once."""
    for spec in specs:
        if spec.popen and not spec.python and hasattr(socket, "send_fds"):
            spec.python = shlex.join([sys.executable, "-S", warm_processes.__file__])


@contextlib.contextmanager
def temporary_files():
    """What libraries and programs leave among temporary files is removed at the end; pytest's own folder is not."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="lip2wav-tests-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        multiprocessing.current_process()._config["tempdir"] = folder  # else it would remove its own when this is gone
        yield
        tempfile.tempdir = str(Path(folder).parent)


def pytest_collection_modifyitems(items):
    """Files with slow tests first: at the end, no process waits for one that has just begun a long file. Those of
    pages, which wait for browsers, apart from one another, so that the cores have something to do meanwhile."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    files = dict.fromkeys(item.path for item in items)
    pages = [path for path in reversed(files) if path.parent.name == "browser"]
    order = sorted((path for path in files if path not in pages), key=lambda path: path not in slow)
    for number, page in enumerate(pages):
        order.insert(5 * number, page)
    items.sort(key=lambda item: order.index(item.path))


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # tests import more
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Who tests that files are on the disk asks [`warm_processes.FSYNC`]."""
    warm_processes.wait_for_no_disk()
    yield
    os.fsync = warm_processes.FSYNC


@pytest.fixture(scope="session", autouse=True)
def interrupts():
    """Ctrl-C interrupts, also where a shell has started the tests in the background, with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def accelerator_of_a_process():
    """Each file of tests begins without a precision of Accelerate, which cannot be changed later in a process."""
    yield
    if accelerate := sys.modules.get("accelerate.state"):
        accelerate.AcceleratorState._reset_state(True)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that connects to another machine fails, even if the code under test hides the error."""
    attempts = []

    def guard(original):
        def connect(self, address):
            is_local = self.family == getattr(socket, "AF_UNIX", None) or str(address[0]).startswith(LOOPBACK)
            if not is_local:
                attempts.append(address)
                raise ConnectionRefusedError(f"tests do not use the network, but something connects to {address}")
            return original(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guard(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex))
    yield attempts
    assert not attempts, f"connections to other machines were tried: {attempts}"


@pytest.fixture(scope="session", autouse=True)
def faces_of_a_picture_once():
    """
    The networks that look for faces are asked once per picture: hundreds of tests look at the same few videos. Gives
    the function that asks them, see [`faces_anew`].
    """
    from lip2wav_hf.face_tracking import _Network

    ask, known = _Network.__call__, weakref.WeakKeyDictionary()

    def ask_once(network, picture, *scaling):
        answers = known.setdefault(network, {})
        question = hashlib.sha1(picture.tobytes(), usedforsecurity=False).digest(), picture.shape, *scaling
        if question not in answers:
            answers[question] = ask(network, picture, *scaling)
        return [answer.copy() for answer in answers[question]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Network, "__call__", ask_once)
        yield ask


@pytest.fixture(scope="module")
def faces_anew(faces_of_a_picture_once):
    """The networks that look for faces are asked for each picture, as they are outside of tests."""
    from lip2wav_hf.face_tracking import _Network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Network, "__call__", faces_of_a_picture_once)
        yield


@pytest.fixture(scope="session")
def grid_dir() -> Path:
    """The folder with real clips of GRID: `LIP2WAV_DATA`, or `../shared/data/grid` beside the repository."""
    folder = Path(os.environ.get("LIP2WAV_DATA") or REPOSITORY.parent / "shared" / "data" / "grid")
    if not (folder / "video").is_dir():
        pytest.skip(f"no real data: there is no folder {folder / 'video'} (set LIP2WAV_DATA to a copy of GRID)")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """
    A function that gives a folder of its own: a copy of one that `make(folder)` fills once for all processes that
    pytest-xdist starts. For what takes seconds to make.
    """

    def made_once(name, make):
        base = tmp_path_factory.getbasetemp()
        folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                part = folder.with_name(f"{folder.name}-part")
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                make(part)
                part.rename(folder)
        return Path(shutil.copytree(folder, tmp_path_factory.mktemp(name) / name))

    return made_once


@pytest.fixture(scope="session")
def talking_video(made_once) -> Path:
    """A synthetic face that says "bin blue at f two now": 3 s, H.264 and AAC."""
    from lip2wav_hf.synthetic.corpus import write_clip

    return made_once("video", lambda folder: write_clip(folder / "bbaf2n.mp4", "bbaf2n")) / "bbaf2n.mp4"


@pytest.fixture(scope="session")
def four_clips(made_once):
    """A function that gives a folder of its own with a synthetic speaker's four clips, in the shape of GRID."""
    from lip2wav_hf.synthetic.corpus import write_corpus

    def make(folder):
        write_corpus(folder, speakers=["synthetic1"], sentences_per_speaker=4, seed=3)

    return lambda: made_once("four", make)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory) -> Path:
    """A saved model with random weights, and its feature extractor."""
    import torch

    from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
    from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from lip2wav_hf.modeling_lip2wav import Lip2WavModel

    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).save_pretrained(folder)
    Lip2WavFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def site(made_once) -> Path:
    """The pages, built strictly: a link or an anchor that leads nowhere is an error (not with --quiet, though)."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    pytest.importorskip("material", reason="the extra `docs` is not installed")

    def build(folder):
        result = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    return made_once("site", build)
