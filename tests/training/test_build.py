"""How a run begins: its parts, and what stops it at once."""

import pytest

from lip2wav_hf.train import main
from lip2wav_hf.training.arguments import OptimizationArguments
from lip2wav_hf.training.build import build_state, learning_rate_share

from .runs import parse


def test_without_a_weight_there_is_no_critic(run_arguments, tmp_path):
    state = build_state(parse(run_arguments, tmp_path))
    assert state.critic is None and state.objective.critic_samples == 0


def test_too_few_clips_and_missing_files_are_named(run_arguments, tmp_path, capsys):
    options = [*run_arguments, "--output_dir", str(tmp_path)]
    assert main([*options, "--batch_size", "64"]) == 2
    assert "do not fill a batch of 64" in capsys.readouterr().err
    assert main([*options, "--speech_encoder", str(tmp_path / "nothing")]) == 2
    assert "Train it first" in capsys.readouterr().err
    assert main([*options, "--config", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err
    assert main([*options, "--resume", str(tmp_path / "nothing")]) == 2
    assert "no such checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("one_cycle", {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 55: 0.5, 100: 1e-3, 200: 1e-3}), ("constant", {9: 1.0, 99: 1.0})],
)
def test_the_learning_rate_rises_and_falls(schedule, expected):
    arguments = OptimizationArguments(max_steps=100, warmup_ratio=0.1, schedule=schedule)
    for step, share in expected.items():
        assert learning_rate_share(step, arguments) == pytest.approx(share, abs=1e-9)
    assert learning_rate_share(0, OptimizationArguments(warmup_ratio=0.0)) == 1.0


def test_a_config_of_another_network_is_refused(recipe, tmp_path):
    with pytest.raises(ValueError, match="a model of the type 'lip2wav', not 'lip2wav_syncnet'"):
        build_state(parse(recipe, tmp_path, "--network", "syncnet"))
