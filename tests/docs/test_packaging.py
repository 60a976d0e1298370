"""The recipe for conda and the container say what pyproject.toml and the checkout hold."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((ROOT / "packaging/recipe.yaml").read_text())
#: Names on conda-forge that differ from those on PyPI.
CONDA = {"netCDF4": "netcdf4", "matplotlib": "matplotlib-base"}


def of_pypi(names: list[str]) -> dict[str, str]:
    """Names on conda-forge of requirements on PyPI, and their versions."""
    found = [Requirement(name) for name in names]
    return {CONDA.get(one.name, one.name): str(one.specifier) for one in found if one.name != "fvqp"}


def of_conda(names: list[str]) -> dict[str, str]:
    return dict(name.split() for name in names if " " in name)


def test_the_recipe_asks_for_what_the_project_does() -> None:
    extras = PROJECT["optional-dependencies"]
    python = {"python": PROJECT["requires-python"]}
    run = of_conda(RECIPE["requirements"]["run"])
    assert run == python | of_pypi(PROJECT["dependencies"] + extras["petsc"])
    optional = of_conda(RECIPE["requirements"]["run_constraints"])
    expected = of_pypi(extras["gmsh"] + extras["view"] + extras["gds"])
    assert optional == expected | {"python-gmsh": expected["gmsh"]}
    assert RECIPE["context"]["version"] == PROJECT["version"]
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]
    ((command, target),) = PROJECT["scripts"].items()
    assert RECIPE["build"]["python"]["entry_points"] == [f"{command} = {target}"]


def test_the_container_runs_what_is_there() -> None:
    text = (ROOT / "packaging/Dockerfile").read_text()
    for file in ("setup.sh", "cases/ryan2026/fig10.toml"):
        assert file in text and (ROOT / file).is_file()
