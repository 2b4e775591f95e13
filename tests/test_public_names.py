"""What `import lip2wav_hf` offers and does: public names, and what it makes known to transformers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lip2wav_hf
from lip2wav_hf.models import NETWORKS
from warm_processes import WarmProcesses


# What transformers and this package import of others: no part of what is tested.
IMPORTED_BY_BOTH = ("torch.distributed.checkpoint.hf_storage", "huggingface_hub.hf_api")


@pytest.fixture(scope="module")
def processes():
    with WarmProcesses(IMPORTED_BY_BOTH, bare=True) as processes:
        yield processes


@pytest.fixture
def python(processes, tmp_path):
    """What a process prints, on stdout and stderr, that has imported neither this package nor transformers before."""

    def python(code):
        mine = "import sys\nassert not {'lip2wav_hf', 'transformers'} & set(sys.modules)"
        result = processes.run(tmp_path / "log", code, before=mine)
        assert result.returncode == 0, result.stderr
        return result.stdout, result.stderr

    return python


def test_importing_the_package_is_light():
    code = (
        "import sys, lip2wav_hf\n"
        "assert not {'torch', 'transformers', 'numpy', 'huggingface_hub', 'av', 'cv2'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", lip2wav_hf.__all__)
def test_public_names_can_be_had(name):
    assert getattr(lip2wav_hf, name) is not None
    assert name in dir(lip2wav_hf)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Lip2Vec"):
        lip2wav_hf.Lip2Vec  # noqa: B018


def test_type_checkers_see_the_same_names():
    """The imports under TYPE_CHECKING give each public name from the module that it comes from when it is used."""
    tree = ast.parse(Path(lip2wav_hf.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == lip2wav_hf._MODULES


PIPELINE = "from transformers import pipeline"
AUTO = "from transformers import AutoConfig, AutoFeatureExtractor, AutoModel"
OURS = "import lip2wav_hf"


@pytest.mark.parametrize(
    "lines",
    [(OURS, PIPELINE), (PIPELINE, OURS), ("from lip2wav_hf.pipeline_video_to_speech import Word", PIPELINE)],
    ids=["first", "last", "ours brings theirs"],
)
def test_the_task_is_known_whatever_is_imported_first(python, lines):
    said, _ = python("\n".join([*lines, "print(type(pipeline('video-to-speech', device='cpu')).__name__)"]))
    assert said == "VideoToSpeechPipeline\n"


@pytest.mark.parametrize("lines", [(OURS, AUTO), (AUTO, OURS)], ids=["first", "last"])
def test_the_auto_classes_know_ours_whatever_is_imported_first(python, lines):
    said, _ = python(
        "\n".join(
            [
                *lines,
                "folder = lip2wav_hf.DEFAULT_CHECKPOINT",
                "for auto in (AutoConfig, AutoFeatureExtractor, AutoModel):",
                "    print(type(auto.from_pretrained(folder)).__name__)",
                "print(type(AutoModel.from_pretrained(folder + '/critic')).__name__)",
            ]
        )
    )
    assert said.split() == ["Lip2WavConfig", "Lip2WavFeatureExtractor", "Lip2WavModel", "Lip2WavCritic"]


def test_every_network_is_known_to_auto_classes():
    from transformers import AutoConfig, AutoModel

    for network in NETWORKS:
        config = AutoConfig.for_model(network.model_type)
        assert type(config) is network.config_class
        assert AutoModel._model_mapping[type(config)] is network.model_class


def test_the_default_model_is_taken_without_a_word(python):
    """Transformers advises to name a model and a revision; for the model that comes with the package that is wrong."""
    _, complaints = python(f"{OURS}\n{PIPELINE}\npipeline('video-to-speech', device='cpu')")
    assert "No model was supplied" not in complaints
    assert "not recommended" not in complaints
