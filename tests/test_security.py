"""Rules of SECURITY.md that the source itself must keep: no shell, no pickle, no evaluation of texts."""

import ast
import functools
import itertools
import os
import subprocess
import sys

import pytest

from conftest import REPOSITORY


FILES = sorted(
    itertools.chain((REPOSITORY / "src").rglob("*.py"), (REPOSITORY / "demo").rglob("*.py"), REPOSITORY.glob("*.py"))
)
RUNS = {"run", "Popen", "call", "check_call", "check_output"}
NEVER = {"eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
NEVER |= {"pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "yaml.load", "tempfile.mktemp"}


def called(node):
    """The name of what is called, such as `subprocess.run`; empty where it is no plain name."""
    names, function = [], node.func
    while isinstance(function, ast.Attribute):
        names, function = [function.attr, *names], function.value
    return ".".join([function.id, *names]) if isinstance(function, ast.Name) else ""


@functools.cache
def nodes():
    """Every node of the source, with its place."""
    return [
        (f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}", node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Call, ast.Import, ast.ImportFrom))
    ]


def calls():
    return [(place, node) for place, node in nodes() if isinstance(node, ast.Call)]


def test_the_source_is_found():
    assert len(FILES) > 100 and len(calls()) > 5000


def test_nothing_runs_a_shell_or_a_text():
    """Programs are started by a list of arguments."""
    wrong = []
    for place, node in calls():
        options = {each.arg: each.value for each in node.keywords}
        if called(node) in NEVER or ("shell" in options and getattr(options["shell"], "value", None) is not False):
            wrong.append(place)
        is_run = called(node).startswith("subprocess.") and called(node).rpartition(".")[2] in RUNS
        if is_run and node.args and isinstance(node.args[0], (ast.Constant, ast.JoinedStr)):
            wrong.append(place)
    assert not wrong


def test_no_pickle_is_loaded():
    """`torch.load` reads weights alone; NumPy's files hold no objects."""
    wrong = []
    for place, node in calls():
        options = {each.arg: getattr(each.value, "value", None) for each in node.keywords}
        if called(node) == "torch.load" and options.get("weights_only") is not True:
            wrong.append(place)
        if options.get("allow_pickle") or options.get("use_safetensors") is False:
            wrong.append(place)
    for place, node in nodes():
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {name.partition(".")[0] for name in names} & {"pickle", "dill", "cloudpickle", "joblib", "shelve"}:
            wrong.append(place)
    assert not wrong


def test_remote_code_is_asked_for_by_nobody_but_the_user():
    """`trust_remote_code=True` is written nowhere."""
    given = [
        place
        for place, node in calls()
        for each in node.keywords
        if each.arg == "trust_remote_code" and getattr(each.value, "value", None) is True
    ]
    assert not given


def test_onnx_runtime_keeps_and_sends_nothing(tmp_path):
    """When it is imported, it would make a number for this machine, and write it down."""
    pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")
    script = "import lip2wav_hf; from lip2wav_hf.lite import graphs; graphs.open_graphs(lip2wav_hf.DEFAULT_CHECKPOINT)"
    environment = os.environ | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_every_rule_has_its_test():
    """The threat model names, for what is refused, a test that is there."""
    text = (REPOSITORY / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = [each for each in text.split("`") if "::test_" in each]
    assert len(named) > 10
    for each in named:
        file, _, test = each.partition("::")
        assert f"def {test}(" in (REPOSITORY / "tests" / file).read_text(encoding="utf-8"), each
