"""Install the package with each extra alone, in an environment of its own, and let it do its work.

`make extras`. The base installation is made once; each extra's environment sees it and adds only what the extra asks
for, so what an extra forgets is missing. Nothing here imports the package.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "out" / "extras"
SAMPLE = REPOSITORY / "src" / "lip2wav_hf" / "assets" / "sample.mp4"
CORPUS = FOLDER / "corpus"
UV = os.environ.get("UV")  # the program, set up for this machine's indexes as `.ci/run` does
PATIENCE = 600  # seconds, for one command

# One library of an extra that no other brings: in the environment of another extra it must be absent. All that
# `synthetic` and `live` bring comes with `evaluate` too.
ONLY_IN = {"train": "torchaudio", "evaluate": "pesq", "demo": "gradio"}

# A network of every kind of layer, which learns in a second.
TINY_MODEL = {
    "model_type": "lip2wav",
    "hidden_size": 16,
    "stem_channels": 4,
    "visual_channels": [4, 8],
    "num_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "attention_window": 3,
    "num_mel_layers": 1,
    "num_mel_bins": 20,
    "num_decoder_layers": 1,
}


class Failed(RuntimeError):
    """A command that did not do what it should; the message holds its output."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment below `out/extras`."""

    folder: Path
    base: "Environment | None" = None

    @classmethod
    def create(cls, name: str, base: "Environment | None" = None) -> "Environment":
        """
        Make one.

        Args:
            name (`str`): of its folder.
            base (`Environment`, *optional*): another one, whose packages this one sees too.
        """
        environment = cls(FOLDER / name, base)
        venv.create(environment.folder, clear=True, with_pip=UV is None, symlinks=True)
        if base is not None:
            line = f"import site; site.addsitedir({str(base.site_packages)!r})\n"
            (environment.site_packages / "base.pth").write_text(line, encoding="utf-8")
        return environment

    @property
    def site_packages(self) -> Path:
        (folder,) = (self.folder / "lib").glob("python*/site-packages")
        return folder

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def run(self, *command: str | Path, expect: str = "", status: int = 0) -> str:
        """
        Run a program of the environment outside of the checkout.

        Args:
            command (`str` or `Path`): name of the program, and its arguments.
            expect (`str`, *optional*): what its output must hold.
            status (`int`, *optional*, defaults to 0): what it must end with.

        Raises:
            Failed: if it ends otherwise, or says something else.
        """
        program, *rest = map(str, command)
        if not Path(self.program(program)).exists():  # it lies in the base's environment, and would see that one alone
            program, rest = "python", ["-m", "lip2wav_hf.commands.main", *rest]
        result = subprocess.run(
            [self.program(program), *rest],
            cwd=FOLDER,
            env=_quiet(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        output = result.stdout + result.stderr
        if result.returncode != status or expect not in output:
            raise Failed(f"{self.folder.name}: {program} {' '.join(rest)}: status {result.returncode}\n{output}")
        return output

    def install(self, *requirements: str | Path) -> None:
        """Install what the base does not have; with uv, if it was named, in a tenth of the time."""
        if UV is None:
            self.run("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *requirements)
            return
        self.uv("install", *requirements)
        if self.base is not None:  # uv does not look at what the environment sees elsewhere
            self.uv("uninstall", *self.frozen() & self.base.frozen())

    def frozen(self) -> set[str]:
        """Names and versions of what is installed in it."""
        return {line.replace(" @ ", "@") for line in self.uv("freeze").splitlines()}

    def uv(self, command: str, *arguments: str | Path) -> str:
        whole = [UV, "pip", command, "--quiet", "--python", self.program("python"), *map(str, arguments)]
        return subprocess.run(whole, check=True, stdout=subprocess.PIPE, text=True).stdout


def _quiet() -> dict[str, str]:
    """The environment variables of a user without this checkout, and without a network for models."""
    # Without bytecode each command would compile what it imports again.
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def only(environment: Environment, extra: str) -> None:
    """What other extras bring must not be there."""
    absent = [module for name, module in ONLY_IN.items() if name != extra]
    code = f"import importlib.util as u; found = [n for n in {absent} if u.find_spec(n)]; assert not found, found"
    environment.run("python", "-c", code)


def base(environment: Environment) -> None:
    """Speak the sample, and say what is there."""
    environment.run("lip2wav", "--help", expect="speak")
    environment.run("lip2wav", "info", expect="grid-s1")
    environment.run("lip2wav", "speak", SAMPLE, "-y", "-o", "base.wav", "-o", "base.mp4", "--plot", "base.png")
    environment.run("lip2wav", "write-card", "--type", "dataset", expect="license")
    environment.run("lip2wav", "push", "grid-s1", "me/mine", "--dry-run", expect="nothing was uploaded")
    server = ("--tries", "1", "--base-url", "http://127.0.0.1:9")
    environment.run("lip2wav", "download", "grid", "grid", *server, expect="no connection", status=2)
    environment.run("lip2wav", "train", "tiny", expect="pip install '.[train]'", status=2)
    speech = FOLDER / "speech"
    speech.mkdir()
    shutil.copy(FOLDER / "base.wav", speech)
    pair = ("--generated", speech, "--reference", speech)
    environment.run("lip2wav", "evaluate", *pair, expect="pip install '.[evaluate]'", status=2)
    for name in ("base.wav", "base.mp4", "base.png"):
        assert (FOLDER / name).stat().st_size > 5000, name


def synthetic(environment: Environment) -> None:
    """Render a clip, and the corpus that the training then reads."""
    environment.run("python", "-m", "lip2wav_hf.synthetic", "--help", expect="corpus")
    environment.run("python", "-m", "lip2wav_hf.synthetic", "clip", "bbaf2n", "-o", "clip.mp4")
    command = ("lip2wav_hf.synthetic", "corpus", CORPUS, "--speakers", "synthetic1", "--sentences", "4")
    environment.run("python", "-m", *command)
    assert (FOLDER / "clip.mp4").stat().st_size > 5000


def train(environment: Environment) -> None:
    """Two steps on the synthetic corpus, with a validation, and what comes of it speaks; and an adaptation to it."""
    environment.run("python", "-m", "lip2wav_hf.train", "--help", expect="--learning_rate")
    (FOLDER / "tiny.json").write_text(json.dumps(TINY_MODEL), encoding="utf-8")
    recipe = {
        "data_dir": [str(CORPUS)],
        "cache_dir": "cache",
        "output_dir": "run",
        "overwrite_output_dir": True,
        "config": "tiny.json",
        "max_steps": 2,
        "batch_size": 2,
        "mixed_precision": "no",
        "dataloader_workers": 0,
        "decoder_windows": 2,
    }
    (FOLDER / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
    environment.run("lip2wav", "train", "--list", expect="grid_s1")
    environment.run("lip2wav", "train", "recipe.yaml")
    assert list((FOLDER / "run").rglob("events.out.tfevents*")), "TensorBoard got nothing"
    environment.run("lip2wav", "speak", SAMPLE, "--model", "run/final", "-y", "-o", "trained.wav")
    environment.run("lip2wav", "adapt", CORPUS, "-o", "adapted", "--restart", "--minutes", "0.2", expect="held back")


def evaluate(environment: Environment) -> None:
    """All metrics of a pair of sounds, and the report."""
    environment.run("lip2wav", "evaluate", "--help", expect="--reference")
    for name in ("generated", "reference"):
        environment.run("lip2wav", "speak", SAMPLE, "-y", "-o", f"{name}/bbaf2n.wav")
    environment.run("lip2wav", "evaluate", "--generated", "generated", "--reference", "reference", "-o", "measured")
    results = json.loads((FOLDER / "measured" / "results.json").read_text(encoding="utf-8"))
    missing = {"pesq_nb", "stoi", "mcd", "judge_wer", "dnsmos_ovrl", "speaker_similarity"} - set(results["overall"])
    assert not missing, f"not measured: {missing} of {sorted(results['overall'])}"
    assert (FOLDER / "measured" / "report.html").stat().st_size > 50_000


def demo(environment: Environment) -> None:
    """Serve the page of the demo, and the studio's, and fetch them."""
    app = str(REPOSITORY / "demo" / "app.py")
    environment.run("python", app, "--help", expect="--port")
    fetch([environment.program("python"), app, "--port", "0"], b"Speech from a silent face")
    studio = [environment.program("python"), "-m", "lip2wav_hf.commands.main", "studio"]
    fetch([*studio, "--port", "0", "--folder", str(FOLDER / "recordings")], b"studio/static/main.js")


def live(environment: Environment) -> None:
    """Speak the sample at its own speed, into a file; sound devices depend on the machine."""
    environment.run("python", "-c", "import importlib.metadata as m; m.version('sounddevice')")
    environment.run("lip2wav", "live", SAMPLE, "-y", "-o", "live.wav", expect="3.00 s of sound")


def lite(environment: Environment) -> None:
    """Speak the sample without torch, live too; and write the graphs of another model, where it is."""
    without = "import sys; sys.modules['torch'] = None; from lip2wav_hf.commands.main import main; main(sys.argv[1:])"
    environment.run("python", "-c", without, "speak", SAMPLE, "-y", "-o", "lite.wav", expect="bin blue at f two now")
    environment.run("python", "-c", without, "live", SAMPLE, "-y", "-o", "lite.wav", expect="3.00 s of sound")
    save = "(Lip2WavModel(Lip2WavConfig({settings})), Lip2WavFeatureExtractor())".format(
        settings=", ".join(f"{name}={value!r}" for name, value in TINY_MODEL.items() if name != "model_type")
    )
    environment.run("python", "-c", f"from lip2wav_hf import *; [each.save_pretrained('own') for each in {save}]")
    environment.run("lip2wav", "lite", "own", expect="wrote own/encoder_model.onnx")
    environment.run("lip2wav", "speak", SAMPLE, "--model", "own", "--runtime", "onnx", "-y", "-o", "own.wav")
    environment.run("lip2wav", "live", SAMPLE, "--model", "own", "--runtime", "onnx", "-y", "-o", "own.wav")


def fetch(command: list[str], expected: bytes) -> None:
    """Start a server, and look for some words in its page."""
    with subprocess.Popen(command, cwd=FOLDER, env=_quiet(), stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()
            if not address:
                raise Failed(f"{command[-3:]}: the page ended without saying where it listens")
            with urllib.request.urlopen(address[0], timeout=60) as response:
                assert expected in response.read()
        finally:
            process.terminate()


def check(extra: str, action: Callable[[Environment], None], wheel: Path, plain: Environment | None) -> bool:
    """Install an extra, or nothing but the base for `plain=None`, and do what it is for; whether that went well."""
    start = time.perf_counter()
    try:
        environment = Environment.create(extra, plain)
        environment.install(f"{wheel}[{extra}]" if plain else wheel)
        installed = time.perf_counter()
        only(environment, extra)
        action(environment)
    except (AssertionError, Failed, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED {extra}: {error}", flush=True)
        return False
    seconds = time.perf_counter()
    print(f"{extra}: installed in {installed - start:.0f} s, worked for {seconds - installed:.0f} s", flush=True)
    return True


def main() -> int:
    """Check all; exit status 1 if anything failed."""
    if FOLDER.is_dir():  # what another run left
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    shutil.rmtree(REPOSITORY / "build", ignore_errors=True)  # a module that is no longer there would be packed too
    builder = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*builder, "--wheel-dir", str(FOLDER), str(REPOSITORY)], check=True)
    (wheel,) = FOLDER.glob("lip2wav_hf-*.whl")
    done = [check("base", base, wheel, None)]
    if done[0]:
        plain = Environment(FOLDER / "base")
        with ThreadPoolExecutor(2) as pool:
            evaluating = pool.submit(check, "evaluate", evaluate, wheel, plain)
            done += [check(action.__name__, action, wheel, plain) for action in (synthetic, train, demo, live, lite)]
            done.append(evaluating.result())
    print(f"{sum(done)} passed, {len(done) - sum(done)} failed")
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
