"""What a Space takes along of the package, and that it starts from exactly that."""

import os
import subprocess
import venv
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from test_remote_code import site_packages_of

from conftest import REPOSITORY
from lip2wav_hf.hub.card_texts import SPACE_METADATA, render_space_card
from lip2wav_hf.hub.plan import HubError, plan_space
from lip2wav_hf.hub.push import push_space
from lip2wav_hf.hub.space import requirements


DEMO = REPOSITORY / "demo"


def write_files(files, folder: Path) -> Path:
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
    return folder


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_demo_takes_what_it_imports():
    files = set(plan_space(DEMO).files)
    rooms = {path.split("/")[1] for path in files if path.startswith("lip2wav_hf/") and path.count("/") > 1}
    rooms -= {"assets", "checkpoints", "face_models", "templates"}  # no code
    assert rooms == {"comparison", "corpora", "evaluation", "lip2audspec", "lite", "live", "metrics", "studio"}
    shared = {path.removeprefix("lip2wav_hf/studio/") for path in files if path.startswith("lip2wav_hf/studio/")}
    assert shared == {"__init__.py", "serving.py", "uploads.py"}  # nothing that records or trains
    assert not {path for path in files if path.startswith("lip2wav_hf/l") and path.endswith("/export.py")}
    assert {
        "lip2wav_hf/pipeline_video_to_speech.py",
        "lip2wav_hf/evaluation/plotting.py",
        "lip2wav_hf/models.py",
        "lip2wav_hf/templates/gallery.js",
    } <= files
    assert {path for path in files if "/metrics/" in path and "/pesq/" in path} == {
        "lip2wav_hf/metrics/pesq/__init__.py",
        "lip2wav_hf/metrics/pesq/pesq.py",
        "lip2wav_hf/metrics/pesq/score.py",
    }
    assert {path for path in files if "/checkpoints/" in path} == {
        f"lip2wav_hf/checkpoints/{model}/{name}"  # of STOI's network too, which finds the sound in sync
        for model in ("grid-s1", "grid-sync")
        for name in ("README.md", "config.json", "model.safetensors", "preprocessor_config.json")
    }


def test_it_takes_only_the_checkpoints_that_it_shows():
    upload = plan_space(DEMO, ["me/voice"])
    assert not any("/checkpoints/grid-s1/" in path for path in upload.files)
    assert upload.variables == {"LIP2WAV_CHECKPOINTS": "me/voice"}
    both = plan_space(DEMO, ["me/voice", "grid-s1"])
    assert "lip2wav_hf/checkpoints/grid-s1/model.safetensors" in both.files
    assert both.variables == {"LIP2WAV_CHECKPOINTS": "me/voice"}
    assert front_matter(both.files["README.md"].decode())["models"] == ["me/voice"]
    with pytest.raises(HubError, match="neither a repository .* nor a bundled model"):
        push_space(DEMO, "me/demo", models=["no-such"], dry_run=True)


@pytest.mark.parametrize("name", ["./voiceB", "runs/best", "{}/runs/best", "~/voice", "voiceB"])
def test_a_model_of_this_machine_is_to_be_pushed_first(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("voiceB", "runs/best"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    with pytest.raises(HubError, match="folder of this machine.* Push the model first, to OWNER/NAME, and then"):
        push_space(DEMO, "me/demo", models=[name.format(tmp_path)], dry_run=True)
    (tmp_path / "grid-s1").mkdir()
    (tmp_path / "grid-s1" / "config.json").write_text("{}")
    assert push_space(DEMO, "me/demo", models=["me/voice", "grid-s1"], dry_run=True).variables


@pytest.mark.parametrize("metric", ["pesq", "av_sync"])
def test_the_page_of_a_metric_takes_its_metric(metric, tmp_path):
    source = REPOSITORY / "src" / "lip2wav_hf" / "metrics" / metric
    files = set(plan_space(source).files)
    assert f"lip2wav_hf/metrics/{metric}/{metric}.py" in files
    assert ("lip2wav_hf/checkpoints/grid-sync/model.safetensors" in files) == (metric == "av_sync")
    assert not any(path.startswith(("lip2wav_hf/training", "lip2wav_hf/hub")) for path in files)


def test_an_app_that_loads_any_metric_takes_all(tmp_path):
    (tmp_path / "README.md").write_text("---\nsdk: gradio\napp_file: app.py\n---\n")
    (tmp_path / "requirements.txt").write_text("lip2wav_hf[evaluate]\n")
    (tmp_path / "app.py").write_text(
        "import evaluate\n\ndef load(name):\n    from lip2wav_hf.metrics import metric_folder\n"
        "    return evaluate.load(metric_folder(name))\n"
    )
    files = set(plan_space(tmp_path).files)
    assert {"lip2wav_hf/metrics/mcd/mcd.py", "lip2wav_hf/metrics/grid_wer/grid_wer.py"} <= files


@pytest.mark.parametrize("line", ["lip2wav_hf[evaluate]", "Lip2Wav-HF [evaluate]>=0.1", "# lip2wav_hf[evaluate]: x"])
def test_the_package_goes_along_in_place_of_its_name(line):
    found = requirements([line, "gradio>=6.0", "# lip2wav_hf is what makes the speech"])
    assert found[:2] == ["gradio>=6.0", "# lip2wav_hf is what makes the speech"]
    assert any("pesq" in each for each in found)
    assert requirements(["# without lip2wav_hf[evaluate]: nothing", "numpy"]) is None


def test_one_source_of_the_metadata():
    """demo/README.md, the card of `write-card` and that of a push say the same."""
    demo = front_matter((DEMO / "README.md").read_text(encoding="utf-8"))
    assert {name: value for name, value in demo.items() if name != "sdk_version"} == SPACE_METADATA
    pushed = front_matter(plan_space(DEMO, ["me/voice"]).files["README.md"].decode())
    written = front_matter(render_space_card(["me/voice"], gradio_version=demo["sdk_version"]))
    assert pushed == written == demo | {"models": ["me/voice"]}
    assert len(SPACE_METADATA["short_description"]) <= 60


@pytest.fixture(scope="module")
def space_python(tmp_path_factory) -> Path:
    """An interpreter that has what the Space's requirements name and gradio, but not this package."""
    lines = plan_space(DEMO).files["requirements.txt"].decode().splitlines()
    names = [Requirement(line).name for line in lines if line and not line.startswith("#")]
    folder = tmp_path_factory.mktemp("space") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    for name, path in site_packages_of([*names, "gradio"]).items():
        (site_packages / name).symlink_to(path)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_demo_starts_from_these_files(space_python, tmp_path, talking_video):
    """In a clean folder, without the package: the page is up, and speaks a video."""
    from gradio_client import Client, handle_file

    space = write_files(plan_space(DEMO).files, tmp_path / "space")
    keep = ("PATH", "HOME", "LANG", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {"PYTHONPATH": str(space), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    probe = "import lip2wav_hf; print(lip2wav_hf.__file__)"
    where = subprocess.run([space_python, "-c", probe], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert where.stdout.strip() == str(space / "lip2wav_hf" / "__init__.py"), where.stderr
    with subprocess.Popen(
        [space_python, "app.py", "--port", "0"],
        cwd=space,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert "checkpoints: grid-s1" in line, process.stderr.read()
            client = Client(line.split()[0], download_files=tmp_path, verbose=False, analytics_enabled=False)
            (checkpoint,) = client.predict(api_name="/checkpoints")
            _, _, details = client.predict(handle_file(str(talking_video)), checkpoint, api_name="/speak")
        finally:
            process.terminate()
    assert details["text"] == "bin blue at f two now"


def test_names_that_the_package_imports_lazily_are_found(tmp_path):
    (tmp_path / "README.md").write_text("---\nsdk: gradio\napp_file: app.py\n---\n")
    (tmp_path / "requirements.txt").write_text("lip2wav_hf[evaluate]\n")
    (tmp_path / "app.py").write_text(
        "import lip2wav_hf\nfrom lip2wav_hf import find_sound_offset\nlip2wav_hf.draw_speech\n"
    )
    files = set(plan_space(tmp_path).files)
    assert {"lip2wav_hf/metrics/synchrony.py", "lip2wav_hf/evaluation/plotting.py"} <= files
    assert "lip2wav_hf/evaluation/evaluate.py" not in files
