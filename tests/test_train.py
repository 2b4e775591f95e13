"""The entry of a training, as a person calls it."""

import pytest

from lip2wav_hf.train.__main__ import main


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("max_stepps: 3\n", "unknown option max_stepps"), ("[1, 2]", "option: value"), ("a: [", "not valid YAML")],
)
def test_bad_recipes_are_named(tmp_path, capsys, content, complaint):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    assert main([str(recipe)]) == 2
    assert complaint in capsys.readouterr().err
    assert main([str(tmp_path / "missing.yaml")]) == 2
