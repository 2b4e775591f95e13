"""The documentation: every block of code in it and in the README, the notebook, the links, and the built pages."""

import ast
import configparser
import contextlib
import html
import html.parser
import io
import re
import shlex
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from transformers import HfArgumentParser

import lip2wav_hf
from conftest import REPOSITORY
from greek_corpus import write_greek_corpus
from lip2wav_hf.training.recipes import find_recipe


DOCS = REPOSITORY / "docs"
PACKAGE = REPOSITORY / "src" / "lip2wav_hf"
PAGES = sorted([REPOSITORY / "README.md", *DOCS.rglob("*.md")])
PROSE = [
    *(REPOSITORY / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(REPOSITORY / name for name in ("benchmarks/README.md", "demo/README.md")),
    *PAGES,
]
FENCE = re.compile(
    r"^(?P<comment><!-- needs .*? -->\n)?```(?P<language>[\w.-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
HUB_REPOSITORY = re.compile(r"""["']me/""")

# Programs of which a block may say anything: they are not ours.
OTHER_PROGRAMS = ("ffmpeg", "git", "hf", "openssl", "tensorboard", "unzip")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `needs` is why it cannot be run here, if so."""

    page: Path
    line: int
    language: str
    text: str
    needs: str | None

    def __str__(self):
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in FENCE.finditer(text):
        needs = match["comment"] and match["comment"][len("<!-- needs ") : -len(" -->\n")]
        if HUB_REPOSITORY.search(match["text"]):
            needs = needs or "a repository on the Hub"
        line = text[: match.start("text")].count("\n") + 1
        blocks.append(Block(page, line, match["language"], match["text"], needs))
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON_PAGES = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]


def page_name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def test_every_block_says_its_language():
    """An unknown language would go untested. Blocks without one are drawings and messages."""
    assert {block.language for block in BLOCKS} <= {"", "python", "sh", "bash", "yaml", "json", "text", "bibtex"}


# --------------------------------------------------------------------------------------------------------------------
# Python
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory, talking_video):
    """A folder with the files that the pages speak of: clips, and a corpus of one speaker."""
    folder = tmp_path_factory.mktemp("reader")
    clip = talking_video.read_bytes()
    for name in ("clip.mpg", "clip.mp4", "other.mpg", "my.mp4"):
        (folder / name).write_bytes(clip)
    speaker = folder / "data" / "grid" / "s1"
    speaker.mkdir(parents=True)
    for colour in "bgrw":
        for letter in "abcdef":
            (speaker / f"b{colour}a{letter}2n.mpg").write_bytes(clip)
    write_greek_corpus(folder / "my-videos", talking_video, faults=False)
    return folder


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=page_name)
def test_python_blocks_run(page, reader_folder, monkeypatch):
    """One after the other, as a reader would, with the bundled checkpoint."""
    if page.name == "metrics.md":
        pytest.importorskip("evaluate", reason="the extra `evaluate` is not installed")
    if "load_grid" in page.read_text(encoding="utf-8"):
        pytest.importorskip("datasets", reason="the extra `train` is not installed")
    monkeypatch.chdir(reader_folder)
    rng = np.random.default_rng(0)
    original = np.convolve(rng.normal(0, 0.1, 48000), np.ones(8) / 8, "same").astype(np.float32)
    names = {"generated": original + rng.normal(0, 0.001, 48000).astype(np.float32), "original": original}
    printed = ""
    for block in blocks_of(page):
        if block.language != "python":
            continue
        if block.needs:
            check_imports(block)
        else:
            printed += run(block.text, names, str(block))
    if page == DOCS / "index.md":
        assert names["speech"]["text"] == "bin blue at f two now"
        assert (reader_folder / "speech.wav").stat().st_size > 90_000
        assert printed.startswith("bin blue at f two now\n")


def run(code: str, names: dict, place: str) -> str:
    """
    Run code, statement by statement, and return what it prints. A comment behind a `print` says what it prints, such
    as `print(audio.shape)  # (48000,)`: it must be that.
    """
    lines = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = {token.start[0]: token.string[1:].strip() for token in lines if token.type == tokenize.COMMENT}
    printed = ""
    for statement in ast.parse(code).body:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(ast.Module([statement], []), place, "exec"), names)
        printed += output.getvalue()
        is_print = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")
        comment = comments.get(statement.end_lineno)
        if is_print and comment is not None:
            assert output.getvalue().strip() == comment, f"{place}: {ast.unparse(statement)}"
    return printed


def test_a_wrong_comment_would_be_found():
    assert run("a = [1,\n  2]  # two\nprint(len(a))  # 2\nprint(a)", {}, "here") == "2\n[1, 2]\n"
    with pytest.raises(AssertionError, match="here: print"):
        run("import numpy\nprint(numpy.zeros((75, 40, 64)).shape)  # (75, 48, 72)", {}, "here")


def test_shapes_are_said_and_checked():
    """The pages print shapes with a comment, which the test above compares."""
    text = "\n".join(block.text for block in BLOCKS if block.language == "python")
    assert len(re.findall(r"^print\(.*shape\)  # \(", text, re.MULTILINE)) >= 1


def check_imports(block: Block):
    """A block that cannot be run names nothing of ours that does not exist."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("lip2wav_hf"):
            module = __import__(node.module, fromlist=["*"])
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{block}: {node.module} has no {missing}"


def shown_by(notebook) -> list[tuple[str, list[str]]]:
    """Of each cell of a notebook: the text it prints, and what kinds of picture and sound it shows."""
    shown = []
    for cell in notebook.cells:
        outputs = [output for output in cell.get("outputs", ()) if output.get("name") != "stderr"]
        text = "".join(output.get("text", "") for output in outputs if output.output_type == "stream")
        kinds = sorted(kind for output in outputs for kind in output.get("data", ()))
        shown.append(
            (re.sub(r"\b[01]\.\d\d$", "", text, flags=re.MULTILINE), kinds)
        )  # confidences vary in their last digit
    return shown


def test_notebook_shows_what_it_says():
    """A viewer that runs nothing has the words, the picture and the sound; warnings and large files are not stored."""
    path = DOCS / "quickstart.ipynb"
    cells = yaml.safe_load(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert not any(output.get("name") == "stderr" for output in outputs)
    kinds = {kind for output in outputs for kind in output.get("data", ())}
    assert {"image/png", "text/html", "text/plain"} <= kinds
    assert ["'bin blue at f two now'"] in [output.get("data", {}).get("text/plain") for output in outputs]
    assert path.stat().st_size < 200_000


def test_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="the extra `docs` is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra `docs` is not installed")
    pytest.importorskip("ipykernel", reason="the extra `docs` is not installed")
    notebook = nbformat.read(DOCS / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    stored = shown_by(notebook)
    notebook.metadata.kernelspec["name"] = "python3"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = {kind for output in outputs for kind in output.get("data", ())}
    assert "image/png" in shown and "text/html" in shown  # the picture, and the player
    assert any("bin blue at f two now" in output.get("data", {}).get("text/plain", "") for output in outputs)
    assert shown_by(notebook) == stored, "run the notebook again and store what it shows"
    assert (tmp_path / "speech.mp4").stat().st_size > 10_000


# --------------------------------------------------------------------------------------------------------------------
# Shell: nothing is run, but each command is read by the parser that would read it
# --------------------------------------------------------------------------------------------------------------------


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block as lists of words."""
    lines = text.replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_0-9]+=\S*", words[0]):
            words.pop(0)
        if ">" in words:
            words = words[: words.index(">")]
        if words:
            found.append(words)
    return found


SHELL = [(block, words) for block in BLOCKS if block.language in ("sh", "bash") for words in commands(block.text)]
INLINE = re.compile(r"`((?:lip2wav|python -m lip2wav_hf|accelerate launch|torchrun) [^`]*)`")
INLINE_SHELL = [
    (f"{page_name(page)}: {text}", shlex.split(text))
    for page in PAGES
    for text in INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("block", "words"), SHELL, ids=[f"{block}-{' '.join(words)[:40]}" for block, words in SHELL])
def test_shell_commands_exist(block, words):
    check_command(words)


@pytest.mark.parametrize(("place", "words"), INLINE_SHELL, ids=[place for place, _ in INLINE_SHELL])
def test_commands_in_sentences_exist(place, words):
    """Often cut short, so only the names of commands and options are looked at."""
    if words[0] == "lip2wav":
        if words[1] == "--help":
            return
        options = {option for parameter in command_of(words[1]).params for option in [*parameter.opts, "--help"]}
        if words[1] == "train":
            options |= {f"--{name}" for name in training_options()} | {"--list"}
        assert {word for word in words if word.startswith("-")} <= options
    elif "lip2wav_hf.train" in words:
        options = [word[2:] for word in words[words.index("lip2wav_hf.train") :] if word.startswith("--")]
        assert set(options) <= {*training_options(), "help"}


def made_folders() -> set[str]:
    """Folders of data that a command of the documentation makes."""
    pairs = (pair for _, words in SHELL for pair in zip(words, words[1:], words[2:], strict=False))
    makers = (["download", "grid"], ["lip2wav_hf.synthetic", "corpus"])
    made = {folder for *before, folder in pairs if before in makers}
    return {re.match(r"[^/]+/[^/]+", folder).group() for folder in made if folder.startswith("data/")}


@pytest.mark.parametrize(("block", "words"), [each for each in SHELL if " data/" in " ".join(each[1])])
def test_data_that_commands_read_is_made_by_a_command(block, words):
    """Nobody has a folder that is neither made by a command nor explained, as that of `--appearance_dir` is."""
    for option, word in zip(["", *words], words, strict=False):
        if word.startswith("data/") and option != "--appearance_dir":
            assert re.match(r"[^/]+/[^/]+", word).group() in made_folders(), f"{block}: who makes {word}?"


def check_command(words: list[str]):
    program, rest = words[0], words[1:]
    if program == "lip2wav":
        check_lip2wav(rest)
    elif program in ("accelerate", "torchrun"):
        check_launcher(program, rest)
    elif program == "python":
        check_python(rest)
    elif program == "pip":
        for extras in re.findall(r"\[([\w,]+)\]", " ".join(rest)):
            assert set(extras.split(",")) <= extras_of_setup()
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= set(targets)
    else:
        assert program in OTHER_PROGRAMS, f"{program}: no test knows this program"


def lip2wav():
    import typer

    from lip2wav_hf.commands.main import app

    return typer.main.get_command(app)


def command_of(name: str):
    group = lip2wav()
    assert name in group.commands, f"lip2wav has no command {name!r}"
    return group.commands[name]


def check_lip2wav(words: list[str]):
    if words[0] == "train":
        check_module("lip2wav_hf.train", words[1:])
    elif words != ["--help"] and words[1:] != ["--help"]:
        command_of(words[0]).make_context(words[0], words[1:])  # raises for what does not exist


def check_python(words: list[str]):
    if words[0] != "-m":
        script = REPOSITORY / words[0]
        assert script.is_file(), f"there is no {words[0]}"
        source = script.read_text(encoding="utf-8")
        for option in (word for word in words if word.startswith("--") and word != "--help"):
            assert f'"{option}"' in source, f"{words[0]} has no option {option}"
    elif words[1] == "lip2wav_hf.synthetic":
        assert words[2] in ("clip", "corpus")
    else:
        check_module(words[1], words[2:])


def check_module(module: str, words: list[str]):
    if module == "lip2wav_hf.evaluation":
        return check_lip2wav(["evaluate", *words])
    assert module == "lip2wav_hf.train", f"{module}: no test knows this module"
    if words in (["--help"], ["--list"]):
        return
    pytest.importorskip("accelerate", reason="the extra `train` is not installed")
    if words[0].endswith("CONFIG.yaml"):
        return
    if words[0].startswith("--"):
        check_training(None, words)
    else:
        check_training(find_recipe(words[0]), words[1:])


def check_training(recipe: Path | None, options: list[str]) -> tuple:
    """
    The arguments of a run that the trainer would begin: the files that they name are there or made by another
    documented run, options that need each other are complete, and each has an effect.
    """
    from lip2wav_hf import Lip2WavConfig
    from lip2wav_hf.hub.publish_training import check_publishing
    from lip2wav_hf.train.__main__ import parse_arguments
    from lip2wav_hf.training.checks import check_arguments, check_effects

    parsed = parse_arguments([*([str(recipe)] if recipe else []), *options])
    models = parsed.models
    for path in (models.config, models.feature_extractor, parsed.critic.critic_config):
        assert path is None or (REPOSITORY / path).is_file(), f"{recipe}: there is no {path}"
    check_arguments(parsed)
    config = Lip2WavConfig.from_json_file(REPOSITORY / models.config) if models.config else Lip2WavConfig()
    check_effects(parsed, config.decoder_type if models.network == "generator" else None)
    check_publishing(parsed.optimization, models.network)
    return parsed


@cache
def training_options() -> set[str]:
    pytest.importorskip("accelerate", reason="the extra `train` is not installed")
    from lip2wav_hf.train.__main__ import SECTIONS

    return {action.dest for action in HfArgumentParser(SECTIONS)._actions}


def check_launcher(program: str, words: list[str]):
    """The launcher's own parser takes the options; what it starts is checked in turn."""
    if program == "accelerate":
        launch = pytest.importorskip("accelerate.commands.launch", reason="the extra `train` is not installed")
        assert words.pop(0) == "launch"
        parsed = launch.launch_command_parser().parse_args(words)
    else:
        from torch.distributed.run import get_args_parser

        parsed = get_args_parser().parse_args(words)
    assert parsed.module
    check_module(parsed.training_script, parsed.training_script_args)


def extras_of_setup() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return set(setup["options.extras_require"])


def test_a_wrong_command_would_be_found():
    for wrong in (
        "lip2wav speek clip.mpg",
        "lip2wav speak clip.mpg -o a.wav --loud",
        "torchrun --nproc-per-node 2 -m lip2wav_hf.train configs/grid_s1.yaml --lerning_rate 1",
        "accelerate launch --no-such-option -m lip2wav_hf.train configs/grid_s1.yaml",
        "accelerate launch -m lip2wav_hf.train configs/nothing.yaml",
        "accelerate launch -m lip2wav_hf.train configs/grid_s1.yaml --push_to_hub --hub_model_id me/my-voice",
        "accelerate launch -m lip2wav_hf.train configs/grid_s1.yaml --network nothing",
        "accelerate launch -m lip2wav_hf.train configs/speech_encoder.yaml --adversarial 0.1",
        "python benchmarks/pipeline_speed.py --no-such-option",
        "make nothing",
        "pip install .[nothing]",
    ):
        with pytest.raises((Exception, SystemExit)):
            check_command(shlex.split(wrong))


@pytest.mark.parametrize("recipe", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_recipes_are_complete(recipe):
    """Options exist, files are there, and the critic judges windows of the length that the decoder makes."""
    pytest.importorskip("accelerate", reason="the extra `train` is not installed")
    from lip2wav_hf import Lip2WavConfig, Lip2WavCriticConfig

    _, models, weights, _, critic, optimization = check_training(recipe, [])
    for line in recipe.read_text(encoding="utf-8").splitlines():
        assert len(line) <= 120
    if models.network == "generator" and weights.adversarial:
        config = Lip2WavConfig.from_json_file(REPOSITORY / models.config) if models.config else Lip2WavConfig()
        path = critic.critic_config
        judge = Lip2WavCriticConfig.from_json_file(REPOSITORY / path) if path else Lip2WavCriticConfig()
        if config.decoder_type == "istft":
            assert judge.window_samples == weights.decoder_window_frames * config.hop_length
        assert critic.critic_start < optimization.max_steps


def test_hours_follow_from_the_time_of_a_step():
    """Which stands in one place; the other page has the steps only."""
    measured = " ".join((REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8").split())
    seconds = float(re.search(r"`grid_s1.yaml`, before the critic \| [\d.]+ M \| ([\d.]+) \|", measured)[1])
    found = re.search(r"they would take ([\d ]+) and ([\d ]+) steps: ([\d.]+) and ([\d.]+) hours", measured).groups()
    steps = [int(number.replace(" ", "")) for number in found[:2]]
    assert [f"{number * seconds / 3600:.1f}" for number in steps] == list(found[2:])
    for name, number in zip(("grid_seen4", "grid_unseen33"), steps, strict=True):
        assert yaml.safe_load((REPOSITORY / "configs" / f"{name}.yaml").read_text())["max_steps"] == number
    assert not re.search(r"step.* takes [\d.]+ s", (DOCS / "train.md").read_text(encoding="utf-8"))


def test_data_blocks_can_be_read():
    for block in BLOCKS:
        if block.language in ("yaml", "json"):
            assert yaml.safe_load(block.text), block  # JSON is YAML


# --------------------------------------------------------------------------------------------------------------------
# What the pages say of the code
# --------------------------------------------------------------------------------------------------------------------


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    described = {place.rpartition(".")[2] for place in re.findall(r"^::: (lip2wav_hf\.[\w.]+)$", pages, re.MULTILINE)}
    assert set(lip2wav_hf.__all__) <= described


def test_contributing_names_what_is_there():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| what | open |")[2].partition("\n\n")[0]
    assert len(table.splitlines()) > 10
    for path in re.findall(r"`([\w./]+)`", table):
        if ("/" in path or "." in path) and "NAME" not in path:
            assert (REPOSITORY / path).exists(), path


def test_option_names_in_sentences_exist():
    """Words such as `--critic_start`: training options have underscores, those of commands have none."""
    for page in DOCS.rglob("*.md"):
        named = set(re.findall(r"`--([a-z]+(?:_[a-z0-9]+)+)`", page.read_text(encoding="utf-8")))
        named -= {"num_processes", "num_machines", "machine_rank"}  # Accelerate's
        assert {name.removeprefix("no_") for name in named} <= training_options(), page  # `--no_` switches off


def test_options_in_sentences_and_tables_exist():
    """Of a command, of the training, or of a script."""
    source = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("src", "demo", "benchmarks", "baselines", ".ci")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    known = {*training_options(), *re.findall(r"[\"/]--([a-z][a-z-]*)[\"/]", source), "help", "timeout"}  # pytest's
    known |= {option[2:] for each in lip2wav().commands.values() for given in each.params for option in given.opts}
    for page in PAGES:
        named = re.findall(r"`--([a-z][a-z0-9-]*)(?=[` ])", FENCE.sub("", page.read_text(encoding="utf-8")))
        unknown = {name for name in named if name.removeprefix("no-") not in known}
        assert not unknown, page


def test_fields_of_the_reconstruction_exist():
    """The last column of the tables of unknowns names fields of the configurations."""
    from lip2wav_hf import Lip2WavConfig, Lip2WavCriticConfig, Lip2WavFeatureExtractor

    text = (DOCS / "reconstruction.md").read_text(encoding="utf-8").partition("## Unknown, hence our choice")[2]
    known = {
        *vars(Lip2WavConfig()),
        *vars(Lip2WavCriticConfig()),
        *vars(Lip2WavFeatureExtractor()),
        *training_options(),
    }
    fields = set()
    for line in text.splitlines():
        cells = line.split(" | ")
        if line.startswith("|") and len(cells) == 3 and not cells[2].startswith("none"):
            fields |= set(re.findall(r"`([a-z]\w+)`", cells[2]))
    assert len(fields) > 30
    assert fields <= known, fields - known


def test_numbers_of_the_reconstruction_are_those_of_the_preset():
    from lip2wav_hf import Lip2WavConfig, Lip2WavCriticConfig, Lip2WavFeatureExtractor

    text = " ".join((DOCS / "reconstruction.md").read_text(encoding="utf-8").split())
    config = Lip2WavConfig.from_json_file(REPOSITORY / "configs/vougioukas2019.json")
    critic = Lip2WavCriticConfig.from_json_file(REPOSITORY / "configs/vougioukas2019_critic.json")
    eyes = Lip2WavFeatureExtractor.from_json_file(REPOSITORY / "configs/vougioukas2019_feature_extractor.json")

    def listed(values):
        return " ".join(map(str, values))

    assert config.sampling_rate == 50000 and config.decoder_type == "frame"
    for said in (
        f"{config.image_height} x {config.image_width} pixels, gray, cut at random",
        f"from {eyes.roi_height} x {eyes.roi_width}",
        f"{listed(config.visual_channels)} channels, each halving",
        f"a GRU of {config.hidden_size}",
        f"strides {listed(config.decoder_strides)}, from {config.decoder_channels} channels",
        f"({2 * config.samples_per_frame} samples)",
        f"{critic.window_samples // 1000} 000 samples, {critic.window_samples / critic.sampling_rate} s",
        f"kernel {critic.kernel_size}, strides {listed(critic.strides)}, channels {listed(critic.channels)}",
        f"leaky ReLU of slope {critic.negative_slope}",
    ):
        assert said in text, said
    recipe = yaml.safe_load((REPOSITORY / "configs/vougioukas2019.yaml").read_text(encoding="utf-8"))
    for field, said in {
        "adversarial": "| {:g} | `adversarial`",
        "perceptual": "weight {:g} | `perceptual`",
        "waveform": "weight {:g} | `waveform`",
        "power": "weight {:g} | `power`",
        "total_variation": "| {:g} | `total_variation`",
        "critic_steps": "| {} | `critic_steps`",
        "batch_size": "| {} clips,",
        "window_frames": ", {} frames of each",
    }.items():
        assert said.format(recipe[field]) in text, field
    for field in re.findall(r"`(\w+)`", re.search(r"\| off: (.*?) are 0 \|", text)[1]):
        assert recipe[field] == 0, field


def test_messages_in_the_troubleshooting_are_those_of_the_code():
    """Each piece of a message, between the gaps that `…` marks, stands in a string of the package."""
    strings = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.append(node.value)
    strings = "\n".join(strings)
    table = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("| message |")[2]
    messages = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert len(messages) >= 10
    for message in messages:
        for piece in message.replace("speaker_embedding", "…").replace("--device cuda", "…").split("…"):
            assert piece.strip() in strings, message


# --------------------------------------------------------------------------------------------------------------------
# The built pages
# --------------------------------------------------------------------------------------------------------------------


class Loaded(html.parser.HTMLParser):
    """Addresses of what a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "link" and attributes.get("rel") in ("canonical", "alternate", "next", "prev"):
            return
        name = {"link": "href", "a": None, "form": None}.get(tag, "src")
        if name and attributes.get(name):
            self.addresses.append(attributes[name])


def test_pages_load_nothing_from_other_machines(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list(DOCS.rglob("*.md")))
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.addresses
        for address in parser.addresses:
            assert not re.match(r"(https?:)?//", address), f"{page.name} loads {address}"
            if not address.startswith("data:"):
                target = (page.parent if not address.startswith("/") else site) / address.partition("?")[0].lstrip("/")
                assert target.exists(), f"{page.name}: there is no {address}"


def test_pages_can_be_searched_as_files(site):
    """A browser lets no page that was opened as a file fetch another: the index is a script, and so is its worker."""
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = ")
    for page in site.rglob("*.html"):
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert [address for address in parser.addresses if address.endswith("javascripts/iframe-worker.js")], page


def test_the_reference_describes_arguments(site):
    text = (site / "api" / "generator.html").read_text(encoding="utf-8")
    for said in (
        'id="lip2wav_hf.modeling_lip2wav.Lip2WavModel.forward"',
        "pixel_values_videos",
        "(batch, frames, 1, image_height, image_width)",
    ):
        assert said in text
    assert "::: lip2wav_hf" not in "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))


LONG_LINE = 119


def long_lines(text: str) -> list[str]:
    """Lines of prose that do not fit an editor; tables, code and a single long word or link may be longer."""
    prose = re.sub(r"\A---\n.*?^---$", "", FENCE.sub("", text), flags=re.MULTILINE | re.DOTALL)
    return [
        line
        for line in prose.splitlines()
        if len(line) > LONG_LINE and not line.lstrip().startswith("|") and re.search(r"\S \S", line.lstrip("#-!> "))
    ]


@pytest.mark.parametrize("page", PROSE, ids=page_name)
def test_prose_fits_an_editor(page):
    assert not long_lines(page.read_text(encoding="utf-8"))


def test_a_long_line_would_be_found():
    long = "word " * 24 + "end"
    link = f"[name](https://{'x' * LONG_LINE}.org)"
    assert long_lines(f"# Title\n{long}\n- {long}\n") == [long, f"- {long}"]
    assert not long_lines(f"---\nkey: {long}\n---\n```sh\n{long}\n```\n| {long} |\n- {link}\n{long[:LONG_LINE]}\n")


# One word for one thing, and sentences that begin with who or what does something.
ODD = {
    r"\banew\b": "again",
    r"\b(?:is|are|was|were) no (?:number|finite|video|sound|text|path|file)\b": "is not a …",
    r"(?:^|[.:!] )Who (?!(?:is|are|was|may|can|can't)\b)[^.!?]*[.!]": "people who …, or: if you …",
    r"(?:^|[.:!;] )(?:But )?[Ww]hoever is [^.!?]*[.!]": "name them, or: people who are …",
    r"(?:^|[.:!] )Who is not [^.!?]*\.": "people who are not …",
    r"\b(?:says?|said) whose that\b": "lists …, names …",
    r"\b(?:documentation|page|table|log|report|message|file)s? tells?\b": "says",
}


def odd_prose(text: str) -> list[str]:
    """Sentences that are not how English is written, outside of code, with what to write instead."""
    prose = " ".join(re.sub(r"`[^`\n]*`", "x", FENCE.sub("", text)).split())
    return [f"{found[0]} -> {better}" for odd, better in ODD.items() for found in re.finditer(odd, prose)]


@pytest.mark.parametrize("page", PROSE, ids=page_name)
def test_prose_is_plain_english(page):
    assert not odd_prose(page.read_text(encoding="utf-8"))


def test_odd_prose_would_be_found():
    odd = (
        "Text. Who has no corpus can make one.\n\nA loss that\nis no number stops it. It begins anew; a log tells it."
        " Who is not named stays. But whoever is read badly, is not. It says whose that is."
    )
    assert len(odd_prose(odd)) == 7
    assert not odd_prose("Who is it for? It begins again. `Who has it says so.` Who may open it:\n```sh\nanew\n```\n")


def test_long_pages_list_their_sections(site):
    """Beside the text stands where one is in it, with a link to each section."""
    link = re.compile(r'<a href="#[^"]+" class="md-nav__link">\s*<span class="md-ellipsis">(.*?)</span>', re.DOTALL)
    for page in (DOCS / "metrics.md", DOCS / "train.md"):
        sections = re.findall(r"^## (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
        text = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        listed = {" ".join(html.unescape(re.sub("<[^>]+>", "", entry)).split()) for entry in link.findall(text)}
        assert len(sections) >= 5 and listed >= {name.replace("`", "") for name in sections}, page


@pytest.mark.parametrize("page", [page for page in PROSE if DOCS not in page.parents], ids=page_name)
def test_links_lead_somewhere(page):
    """Of the files that are no pages of the site, whose links `mkdocs build --strict` follows."""
    for target in re.findall(r"\]\(([^)#\s]+)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target
