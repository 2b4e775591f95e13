import re
import subprocess
import sys
from configparser import ConfigParser
from functools import cache
from importlib.metadata import entry_points, packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml

import lip2wav_hf
from conftest import REPOSITORY
from lip2wav_hf.hub.remote_code import remote_code_files
from lip2wav_hf.models import NETWORKS
from source_tree import NAME, closure, modules


PACKAGE = Path(lip2wav_hf.__file__).parent
owners_of_packages = cache(packages_distributions)  # reads a file of each package that is installed


@pytest.fixture(scope="module")
def setup_cfg():
    parser = ConfigParser()
    assert parser.read(REPOSITORY / "setup.cfg")
    return parser


def test_the_version_stands_in_one_place(setup_cfg):
    assert version("lip2wav_hf") == lip2wav_hf.__version__
    assert setup_cfg["metadata"]["version"] == "attr: lip2wav_hf.__version__"


def test_the_citation_names_this_software_and_what_it_builds_on(setup_cfg):
    """The keys that the Citation File Format 1.2.0 requires; the version stands elsewhere, in one place."""
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation) and "version" not in citation
    assert citation["cff-version"] == "1.2.0" and citation["title"] == "lip2wav_hf"
    assert citation["license"] == setup_cfg["metadata"]["license"]
    assert [author["name"] for author in citation["authors"]] == [setup_cfg["metadata"]["author"]]
    references = {reference["authors"][0]["family-names"] for reference in citation["references"]}
    assert references == {"Vougioukas", "Akbari", "Cooke"}
    assert all({"type", "title", "authors"} <= set(reference) for reference in citation["references"])


def test_the_command_is_installed():
    (command,) = entry_points(group="console_scripts", name="lip2wav")
    assert command.value == "lip2wav_hf.commands.main:main"
    assert callable(command.load())


OWN_NAME = r"['\"]?lip2wav[-_.]hf\b"


def test_nobody_is_told_to_install_a_name_that_no_index_has():
    """A stranger could register it: a checkout is named instead, as by every message."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no copy of the repository")
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name and not name.startswith("tests/")]
    texts = [file for file in files if file.suffix in (".txt", ".md", ".py", ".jinja", ".ipynb", ".yaml", ".yml")]
    found = []
    for file in texts:
        pattern = rf"(?im)^\s*{OWN_NAME}" if "requirements" in file.name else rf"\binstall (-\S+ )*{OWN_NAME}"
        found += [str(file)] * bool(file.is_file() and re.search(pattern, file.read_text(encoding="utf-8")))
    assert not found and sum("requirements" in file.name for file in texts) > 10


def test_no_needless_upper_bounds():
    bounded = [line for line in requires("lip2wav_hf") if re.search(r"<|==|~=", line.split(";")[0])]
    # setup.cfg gives the reasons.
    assert {re.split(r"[<>=~]", line)[0] for line in bounded} == {"ruff", "scipy", "ty"}


def test_every_extra_is_there(setup_cfg):
    extras = {"train", "evaluate", "demo", "live", "lite", "synthetic", "browser", "docs", "dev"}
    assert set(setup_cfg["options.extras_require"]) == extras


def required(setup_cfg, extra: str = "") -> list[str]:
    """Normalised names of the distributions that the package, or one of its extras, asks for by itself."""
    section = setup_cfg["options.extras_require"][extra] if extra else setup_cfg["options"]["install_requires"]
    lines = [line.strip() for line in section.splitlines() if line.strip() and not line.strip().startswith("#")]
    return [normalized(re.split(r"[<>=~\[ ]", line)[0]) for line in lines]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nothing_is_asked_for_twice(setup_cfg):
    base = required(setup_cfg)
    for extra in setup_cfg["options.extras_require"]:
        names = required(setup_cfg, extra)
        if extra != "dev":  # made of the others, which may share a library
            assert len(names) == len(set(names)), extra
        assert not set(names) & set(base), f"[{extra}] repeats what the base asks for"


# What a user of each extra runs, and with which of the extras; the demo page is beside the package.
USERS = {
    "base": ("", [NAME, f"{NAME}.commands.main", f"{NAME}.evaluation.plotting", f"{NAME}.models"]),
    "commands": ("", [name for name in modules() if name.startswith(f"{NAME}.commands")]),
    "train": ("train", [name for name in modules() if name.startswith((f"{NAME}.training", f"{NAME}.train"))]),
    "grid": ("train", [name for name in modules() if name.startswith(f"{NAME}.grid")]),
    "evaluate": ("evaluate", [name for name in modules() if name.startswith(f"{NAME}.evaluation")]),
    "comparison": ("", [name for name in modules() if name.startswith(f"{NAME}.comparison")]),
    "metrics": ("evaluate", [name for name in modules() if name.startswith(f"{NAME}.metrics")]),
    "synthetic": ("synthetic", [name for name in modules() if name.startswith(f"{NAME}.synthetic")]),
    "hub": ("", [name for name in modules() if name.startswith(f"{NAME}.hub")]),
    "studio": ("demo train", [name for name in modules() if name.startswith(f"{NAME}.studio")]),
    "publishing": ("train", [f"{NAME}.hub.publish_training"]),
}
USERS["hub"][1].remove(f"{NAME}.hub.publish_training")  # the end of a training
# Spaces of metrics: the file that makes the page asks for gradio in its own requirements.txt.
PAGES = (f"{NAME}.metrics.space", ".app")

# Imports that happen only once `require_packages` has found what they need.
ASKED_FIRST = frozenset(
    [(f"{NAME}.training.validation", f"{NAME}.metrics.{metric}.score") for metric in ("pesq", "stoi")]
    + [(f"{NAME}.adaptation.adapt", f"{NAME}.adaptation.running")]
)


@pytest.mark.parametrize("user", USERS)
def test_an_extra_brings_what_its_rooms_import(setup_cfg, user):
    """
    Also inside functions: who installs `[train]` alone must not find out in the first validation that something is
    missing. What other libraries happen to bring does not count; what is tried with `except ImportError` need not be
    there.
    """
    extra, names = USERS[user]
    asked = {name for each in ("", *extra.split()) for name in required(setup_cfg, each)}
    names = {name for name in names if not name.endswith(PAGES)}
    assert names <= set(modules())
    owners = owners_of_packages()
    missing = {}
    for target, way in closure(names, late=True, without=ASKED_FIRST).items():
        top = target.partition(".")[0]
        if top == NAME or top in sys.stdlib_module_names:
            continue
        if not {normalized(owner) for owner in owners.get(top, [top])} & asked:
            missing[top] = " -> ".join(way)
    assert not missing


def test_everything_that_must_ship_is_package_data(setup_cfg):
    """Each file that is no module of a Python package falls under one of the patterns of setup.cfg."""
    patterns = setup_cfg["options.package_data"]["lip2wav_hf"].split()
    shipped = {path for pattern in patterns for path in PACKAGE.glob(pattern.replace("**", "**/*")) if path.is_file()}
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {
        path for path in files - shipped if path.suffix != ".py" or not (path.parent / "__init__.py").exists()
    } == set()
    names = {str(path.relative_to(PACKAGE)) for path in files}
    assert {
        "assets/sample.mp4",
        "checkpoints/grid-s1/config.json",
        "checkpoints/grid-s1/model.safetensors",
        "checkpoints/grid-s1/preprocessor_config.json",
        "checkpoints/grid-s1/README.md",
        "face_models/face_detection_short_range.tflite",
        "face_models/face_landmark.tflite",
    } <= names


def test_the_bundled_checkpoint_is_small():
    assert (PACKAGE / "checkpoints" / "grid-s1" / "model.safetensors").stat().st_size <= 30_000_000


REMOTE_FILES = [path.name for path in remote_code_files()]


def test_remote_code_lies_flat():
    """Networks, extractor, pipeline and what they import are files of the top folder, where the Hub's loader looks."""
    assert {path.parent for path in remote_code_files()} == {PACKAGE}
    assert {f"{network.module}.py" for network in NETWORKS if network.is_flat} <= set(REMOTE_FILES)
    assert {"errors.py", "video.py", "grammar.py", "generator.py", "speaking.py"} <= set(REMOTE_FILES)


@pytest.mark.parametrize("name", REMOTE_FILES)
def test_remote_code_needs_nothing_else(name):
    """What the Hub requires before it loads these files: the documented libraries, and files that travel too."""
    from transformers.dynamic_module_utils import get_imports, get_relative_imports

    allowed = {"numpy", "torch", "transformers", "safetensors", "av", "cv2", "huggingface_hub", "tqdm"}
    allowed |= set(sys.stdlib_module_names)
    assert set(get_imports(PACKAGE / name)) <= allowed
    assert {f"{module}.py" for module in get_relative_imports(PACKAGE / name)} <= set(REMOTE_FILES)


def test_public_names_need_the_base_dependencies_only():
    """With all libraries of the extras hidden, every public name can be had, and the command starts."""
    extras = ["accelerate", "datasets", "torchaudio", "tensorboard", "evaluate", "jiwer", "pesq", "pocketsphinx"]
    extras += ["pystoi", "scipy", "gradio", "espeakng_loader", "pytest"]
    code = f"""
import gc, sys
gc.disable()  # which takes a second
for name in {extras}:
    sys.modules[name] = None
import lip2wav_hf, lip2wav_hf.commands.main, lip2wav_hf.evaluation.plotting
for name in lip2wav_hf.__all__:
    getattr(lip2wav_hf, name)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def test_a_makefile_that_explains_itself():
    result = subprocess.run(["make", "-C", str(REPOSITORY)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for target in ("demo", "test", "extras", "oldest", "quality", "style", "clean"):
        assert f"make {target}" in result.stdout
