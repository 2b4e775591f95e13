"""Recipes: the YAML files of `configs/`, which come with the package, and those of users."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml

from .arguments import TrainingError


CONFIGS = Path(__file__).parents[1] / "configs"
FILE_OPTIONS = ("config", "critic_config", "feature_extractor")  # which name JSON files


def list_recipes() -> dict[str, str]:
    """Names of the recipes that come with the package, and what each is for: the first line of its comment."""
    recipes = {}
    for path in sorted(CONFIGS.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        recipes[path.stem] = first.lstrip("# ").rstrip() if first.startswith("#") else ""
    return recipes


def find_recipe(name: str) -> Path:
    """
    The file of a recipe.

    Args:
        name (`str`): a path, or the name of a recipe that comes with the package, with or without `configs/` before
            it and `.yaml` after it.

    Raises:
        TrainingError: if there is none; its message names those that there are.
    """
    path = Path(name)
    packaged = (CONFIGS / name, CONFIGS / f"{name}.yaml", CONFIGS.parent / name)
    for candidate in (path, *packaged):
        if candidate.is_file() and candidate.suffix in (".yaml", ".yml"):
            return candidate
    if path.is_file():
        raise TrainingError(f"{name}: a recipe is a file *.yaml of `option: value` lines.")
    recipes = list_recipes()
    close = difflib.get_close_matches(path.stem, recipes, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise TrainingError(f"{name}: no such file, and no recipe of that name.{hint} There are {', '.join(recipes)}.")


def read_recipe(name: str) -> dict[str, Any]:
    """
    The options of a recipe. JSON files that it names are looked for beside it first.

    Raises:
        TrainingError: if there is no such recipe, or it is not YAML of `option: value` lines.
    """
    path = find_recipe(name)
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: not valid YAML ({error}).") from None
    if not isinstance(options, dict):
        raise TrainingError(f"{path}: expected lines of `option: value`.")
    for option in FILE_OPTIONS:
        if isinstance(options.get(option), str):
            options[option] = locate_file(options[option], path.parent)
    return options


def locate_file(name: str, beside: Path | None = None) -> str:
    """
    Path of a JSON file: in the folder `beside`, as it is, or among the files that come with the package.

    Returns:
        `str`: the path, or the name itself where there is no such file; who reads it says so.
    """
    candidates = [Path(name), CONFIGS / name, CONFIGS.parent / name]
    if beside is not None:
        candidates.insert(0, beside / name)
    return next((str(path) for path in candidates if path.is_file()), name)


__all__ = ["find_recipe", "list_recipes", "locate_file", "read_recipe"]
