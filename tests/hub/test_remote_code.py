"""Loading from a repository: without this package, without trust, pinned, interrupted, tampered with."""

import functools
import json
import os
import re
import shutil
import subprocess
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, pipeline

import lip2wav_hf
from hub_stub import HubStub
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig, Lip2WavCriticConfig, Lip2WavSpeechEncoderConfig
from lip2wav_hf.evaluation.systems import model_sha256
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.files import BASELINES
from lip2wav_hf.hub.model_card import write_model_card
from lip2wav_hf.hub.plan import plan_model
from lip2wav_hf.lip2audspec.configuration_lip2audspec import Lip2AudSpecConfig
from lip2wav_hf.lip2audspec.modeling_lip2audspec import Lip2AudSpecModel
from lip2wav_hf.modeling_critic import Lip2WavCritic, Lip2WavSpeechEncoder
from lip2wav_hf.modeling_lip2wav import Lip2WavModel, WeightsError
from little_lip2audspec import TINY as TINY_LIP2AUDSPEC
from warm_processes import WarmProcesses


SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"
SAMPLE_TEXT = "bin blue at f two now"
RUNTIME = ("transformers", "torch", "av", "opencv-python-headless", "ai-edge-litert")
REPOSITORY = "alice/voice"


def site_packages_of(names) -> dict[str, Path]:
    """Top-level files and folders of these distributions and of all that they require."""
    entries, waiting, seen = {}, [Requirement(name) for name in names], set()
    while waiting:
        requirement = waiting.pop()
        if requirement.name.lower() in seen:
            continue
        seen.add(requirement.name.lower())
        installed = distribution(requirement.name)
        root = Path(installed.locate_file(""))
        for file in installed.files:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and (root / top).exists():
                entries[top] = root / top
        needed = [Requirement(line) for line in installed.requires or ()]
        waiting += [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
    return entries


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory) -> Path:
    """An interpreter of a virtual environment that holds what remote code needs, and not this package."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    for name, path in site_packages_of(RUNTIME).items():
        (site_packages / name).symlink_to(path)
    return python


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Path:
    """A folder as it lies on the Hub: the bundled checkpoint with small networks in its subfolders."""
    source = tmp_path_factory.mktemp("source") / "voice"
    shutil.copytree(lip2wav_hf.DEFAULT_CHECKPOINT, source)
    write_model_card(source, overwrite=True)
    torch.manual_seed(0)
    Lip2WavCritic(Lip2WavCriticConfig()).save_pretrained(source / "critic")
    encoder = Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1)
    Lip2WavSpeechEncoder(encoder).save_pretrained(source / "speech_encoder")
    folder = tmp_path_factory.mktemp("published") / "voice"
    for name, content in plan_model(source).files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return folder


@pytest.fixture(scope="session")
def hub(published):
    """A Hub with two commits of the repository: the second has a critic with other weights."""
    with HubStub() as server:
        repository = server.add(REPOSITORY, published)
        files = dict(repository.at("main").files)
        files["config.json"] = json.dumps(json.loads(files["config.json"]) | {"word_change_penalty": 2.5}).encode()
        repository.commit("main", "Change the penalty", files)
        yield server


KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")


@pytest.fixture(scope="session")
def with_the_package(hub, tmp_path_factory):
    """Runs code, with a Hub and this package, in a process that has imported the package."""
    environment = hub.environment(tmp_path_factory.mktemp("with") / "home")
    modules = ("lip2wav_hf.pipeline_video_to_speech", "transformers.pipelines")
    with WarmProcesses(modules, environment) as processes:
        yield functools.partial(run_warm, processes)


@pytest.fixture(scope="session")
def without_the_package(bare_python, hub, tmp_path_factory):
    """Runs code, with a Hub and without this package, in a process that has imported transformers."""
    environment = hub.environment(tmp_path_factory.mktemp("without") / "home")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    modules = ("transformers.pipelines", "av", "cv2", "ai_edge_litert.interpreter")
    with WarmProcesses(modules, kept | environment, python=bare_python) as processes:
        yield functools.partial(run_warm, processes)


def run_warm(processes: WarmProcesses, code: str, home: Path) -> dict:
    """Run code that prints JSON in its last line."""
    result = processes.run(home / "log.txt", code, cwd=home)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def run(python: Path | str, code: str, home: Path) -> dict:
    """Run code that prints JSON in its last line, in a new interpreter, without any Hub."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    result = subprocess.run(
        [python, "-I", "-c", code],
        capture_output=True,
        text=True,
        env=environment | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        cwd=home,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


ONLY_THE_RUNTIME = """
import importlib.util, json, sys
for name in ("lip2wav_hf", "scipy", "gradio", "matplotlib", "datasets", "pytest"):
    assert importlib.util.find_spec(name) is None, name + " can be imported here"
"""

SPEAK = (
    ONLY_THE_RUNTIME
    + """
from transformers import AutoModel, pipeline
speak = pipeline("video-to-speech", model={model!r}, trust_remote_code=True, revision={revision!r})
speech = speak({video!r})
parts = {{}}
for part in ("critic", "speech_encoder"):
    network = AutoModel.from_pretrained({model!r}, subfolder=part, trust_remote_code=True, revision={revision!r})
    parts[part] = type(network).__name__
speak.save_pretrained("saved")
assert not any(name.split(".")[0] == "lip2wav_hf" for name in sys.modules)
print(json.dumps({{
    "text": speech["text"], "samples": len(speech["audio"]), "loud": float(abs(speech["audio"]).max()),
    "parts": parts, "module": type(speak).__module__, "penalty": speak.model.config.word_change_penalty,
    "coverage": speech["face_coverage"],
}}))
"""
)


@pytest.mark.slow
def test_a_folder_speaks_without_the_package(bare_python, published, tmp_path):
    """From an environment with nothing but the runtime; what it saves can be published again."""
    code = SPEAK.format(model=str(published), video=str(SAMPLE), revision=None)
    spoken = run(bare_python, code, tmp_path)
    assert spoken["text"] == SAMPLE_TEXT and spoken["samples"] == 48000 and spoken["coverage"] == 1.0
    assert 0.05 < spoken["loud"] <= 1.0
    assert spoken["parts"] == {"critic": "Lip2WavCritic", "speech_encoder": "Lip2WavSpeechEncoder"}
    assert spoken["module"].startswith("transformers_modules.")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text(encoding="utf-8"))
    assert saved["custom_pipelines"]["video-to-speech"]["impl"] == "pipeline_video_to_speech.VideoToSpeechPipeline"
    for name in ("pipeline_video_to_speech.py", "modeling_lip2wav.py", "face_models/face_landmark.tflite"):
        assert (tmp_path / "saved" / name).is_file()


@pytest.mark.slow
def test_the_hub_speaks_without_the_package(without_the_package, hub, tmp_path):
    """A pinned revision; the download of the weights breaks off once and goes on where it was."""
    repository = hub.repositories["model", REPOSITORY]
    first, second = repository.history()[1].oid, repository.history()[0].oid
    # The client keeps what came in pieces of 10 MiB.
    hub.drop_once("model.safetensors", after=int(0.9 * len(repository.at(first).files["model.safetensors"])))
    before = len(hub.requests)
    code = SPEAK.format(model=REPOSITORY, video=str(SAMPLE), revision=first)
    spoken = without_the_package(code, tmp_path)
    assert spoken["text"] == SAMPLE_TEXT
    assert spoken["penalty"] == 1.0
    assert first in spoken["module"] and second not in spoken["module"]
    asked = [
        entry
        for entry in hub.requests[before:]
        if entry[:2] == ("GET", f"/{REPOSITORY}/resolve/{first}/model.safetensors")
    ]
    assert len(asked) == 2 and asked[0][2] is None
    assert int(re.fullmatch(r"bytes=(\d+)-", asked[1][2]).group(1)) > 0
    assert not any(f"/resolve/{second}/" in path for _, path, _ in hub.requests[before:])


def test_the_installed_package_needs_no_trust(with_the_package, hub, tmp_path):
    before = len(hub.requests)
    code = f"""
import json
import lip2wav_hf
from transformers import AutoModel, pipeline
from lip2wav_hf import Lip2WavCritic, Lip2WavSpeechEncoder
speak = lip2wav_hf.pipeline("video-to-speech", model="{REPOSITORY}", revision="main")
classes = [type(speak), type(speak.model), type(speak.feature_extractor)]
classes.append(type(Lip2WavCritic.from_pretrained("{REPOSITORY}", subfolder="critic")))
classes.append(type(Lip2WavSpeechEncoder.from_pretrained("{REPOSITORY}", subfolder="speech_encoder")))
classes.append(type(AutoModel.from_pretrained("{REPOSITORY}", subfolder="critic")))
text = speak({str(SAMPLE)!r})["text"]
print(json.dumps({{
    "modules": sorted({{kind.__module__.split(".")[0] for kind in classes}}), "text": text,
    "penalty": speak.model.config.word_change_penalty,
}}))
"""
    loaded = with_the_package(code, tmp_path)
    assert loaded == {"modules": ["lip2wav_hf"], "text": SAMPLE_TEXT, "penalty": 2.5}
    paths = [path for _, path, _ in hub.requests[before:]]
    assert any(path.startswith(f"/{REPOSITORY}/resolve/") for path in paths)
    code_asked = [path for path in paths if path.endswith(".py")]
    assert code_asked == []


LIP2AUDSPEC = "alice/lip2audspec"


@pytest.fixture(scope="session")
def lip2audspec_on_the_hub(hub, tmp_path_factory):
    """A tiny Lip2AudSpec, as `lip2wav push` uploads it."""
    source, folder = tmp_path_factory.mktemp("source") / "tiny", tmp_path_factory.mktemp("published") / "lip2audspec"
    torch.manual_seed(0)
    Lip2AudSpecModel(Lip2AudSpecConfig(**TINY_LIP2AUDSPEC)).save_pretrained(source)
    Lip2WavFeatureExtractor().save_pretrained(source)
    shutil.copytree(BASELINES / "lip2audspec-grid-s1" / "results", source / "results")
    measured = json.loads((source / "results" / "validation.json").read_text(encoding="utf-8"))
    weights = model_sha256(Lip2AudSpecModel.from_pretrained(source))
    (source / "results" / "validation.json").write_text(json.dumps(measured | {"model_sha256": weights}))
    shutil.copy(BASELINES / "lip2audspec-grid-s1" / "card.yaml", source)
    write_model_card(source)
    for name, content in plan_model(source).files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    hub.add(LIP2AUDSPEC, folder)


@pytest.mark.slow
@pytest.mark.usefixtures("lip2audspec_on_the_hub")
def test_a_lip2audspec_speaks_without_the_package(with_the_package, without_the_package, tmp_path):
    """From the Hub, and again from what the pipeline saves; with the package, without trust, it sounds the same."""
    code = f"""
from transformers import AutoModel, pipeline
speak = pipeline("video-to-speech", model="{LIP2AUDSPEC}", trust_remote_code=True)
speech = speak({str(SAMPLE)!r})
speak.save_pretrained("saved")
again = pipeline("video-to-speech", model="saved", trust_remote_code=True)({str(SAMPLE)!r})
alone = AutoModel.from_pretrained("{LIP2AUDSPEC}", trust_remote_code=True)
assert not any(name.split(".")[0] == "lip2wav_hf" for name in sys.modules)
print(json.dumps({{
    "text": speech["text"], "samples": len(speech["audio"]), "mean": float(abs(speech["audio"]).mean()),
    "same": bool((speech["audio"] == again["audio"]).all()), "module": type(alone).__module__,
}}))
"""
    spoken = without_the_package(ONLY_THE_RUNTIME + code, tmp_path)
    assert spoken["text"] == "" and spoken["samples"] == 24000 and spoken["same"] and spoken["mean"] > 0
    assert spoken["module"].startswith("transformers_modules.")
    assert (tmp_path / "saved" / "cochlea" / "filters.safetensors").is_file()
    code = f"""
import json
from lip2wav_hf import pipeline
speak = pipeline("video-to-speech", model="{LIP2AUDSPEC}")
speech = speak({str(SAMPLE)!r})
print(json.dumps({{"mean": float(abs(speech["audio"]).mean()), "module": type(speak.model).__module__}}))
"""
    installed = with_the_package(code, tmp_path)
    assert installed["mean"] == pytest.approx(spoken["mean"], rel=1e-3)
    assert installed["module"] == "lip2wav_hf.lip2audspec.modeling_lip2audspec"


# What was tampered with


@pytest.fixture
def folder(tiny_model_dir, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "tiny"))


def change_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut_off_file(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pickled_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def missing_key(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.pop("text_head.weight"))


def left_over_key(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update(extra=torch.zeros(3)))


def other_shape(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({"text_head.weight": torch.zeros(7, 16)}))


def other_model_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"model_type": "vits"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def weights_of_another_name(folder: Path) -> None:
    """config.json sends the loader to a pickle."""
    pickled_weights(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["transformers_weights"] = "pytorch_model.bin"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


TAMPERING = {
    cut_off_file: "damaged",
    pickled_weights: "safetensors",
    missing_key: "1 missing, e.g. text_head.weight",
    left_over_key: "1 left over, e.g. extra",
    other_shape: "1 of another shape, e.g. text_head.weight",
    weights_of_another_name: "safetensors",
}


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda function: function.__name__)
def test_tampered_weights_are_refused(folder, tamper, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *arguments, **options: pytest.fail("a pickle was loaded"))
    tamper(folder)
    with pytest.raises((ValueError, OSError), match=TAMPERING[tamper]):
        Lip2WavModel.from_pretrained(folder)
    with pytest.raises((ValueError, OSError), match=TAMPERING[tamper]):
        pipeline("video-to-speech", model=str(folder))


def test_another_type_of_model_is_refused(folder):
    other_model_type(folder)
    for config_class in (Lip2WavConfig, Lip2WavCriticConfig, Lip2WavSpeechEncoderConfig):
        with pytest.raises(ValueError, match="describes a model of the type 'vits'"):
            config_class.from_pretrained(folder)
    with pytest.raises(ValueError, match="describes a model of the type 'vits'"):
        Lip2WavModel.from_pretrained(folder)


def test_the_pipeline_refuses_another_model(folder):
    Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1)).save_pretrained(folder)
    assert AutoConfig.from_pretrained(folder).model_type == "lip2wav_speech_encoder"
    with pytest.raises(ValueError, match="needs a model of the type 'lip2wav', not 'lip2wav_speech_encoder'"):
        pipeline("video-to-speech", model=str(folder), feature_extractor=str(folder))


def test_training_may_start_from_weights_that_do_not_fit(folder):
    missing_key(folder)
    model, report = Lip2WavModel.from_pretrained(folder, ignore_mismatched_sizes=True, output_loading_info=True)
    assert set(report["missing_keys"]) == {"text_head.weight"}
    assert torch.isfinite(model.text_head.weight).all()
    with pytest.raises(WeightsError, match="never loaded from a pickle"):
        Lip2WavModel.from_pretrained(folder, use_safetensors=False)


def test_a_pickle_on_the_hub_is_neither_loaded_nor_converted(folder, with_the_package, hub, tmp_path):
    """Nobody is asked to convert it, and it is not even downloaded."""
    pickled_weights(folder)
    hub.add("alice/pickled", folder)
    before = len(hub.requests)
    code = """
import json
from lip2wav_hf import Lip2WavModel
try:
    Lip2WavModel.from_pretrained("alice/pickled")
except (OSError, ValueError) as error:
    print(json.dumps({"error": str(error)}))
"""
    error = with_the_package(code, tmp_path)["error"]
    assert "safetensors" in error
    paths = [(method, path) for method, path, _ in hub.requests[before:]]
    assert not any(path.endswith(".bin") and method == "GET" for method, path in paths)
    assert all(path.startswith(("/alice/pickled", "/api/models/alice/pickled")) for _, path in paths)
