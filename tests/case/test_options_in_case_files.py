"""A case file, which may be someone else's, sets no option of PETSc that runs code or writes a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from said import Answer, Said, write_case
from usadel_cases import LINE

from fvqp import cli
from fvqp.case.file_options import check_file_options
from fvqp.errors import CaseError

#: A preconditioner that leaves a mark where it is made.
SCRIPT = """
import pathlib
pathlib.Path("mark").write_text("here")
class PC:
    def apply(self, pc, x, y):
        x.copy(y)
"""


def test_types_written_in_python_are_not_run(said: Said) -> None:
    Path("strange.py").write_text(SCRIPT)
    options: dict[str, Any] = {"pc_type": "python", "pc_python_type": "strange.py:PC"}
    code, text = said(LINE, {"solver": {"method": "gamg", "petsc": options}})
    assert code == 2 and not Path("mark").exists()
    assert text.startswith("case.toml: solver.petsc.pc_type: expected the name of a method that is not writ")
    assert text.endswith('got "python"; other values may stand after -- on the command line of fvqp run')
    del options["pc_type"]
    code, text = said(LINE, {"solver": {"method": "gamg", "petsc": options}})
    assert code == 2 and "solver.petsc.pc_python_type: not an option that a case file may set" in text


def test_monitors_do_not_write_files(said: Said, answer: Answer) -> None:
    changes = {"solver": {"method": "gamg", "petsc": {"ksp_monitor": "ascii:written"}}}
    code, text = said(LINE, changes, "run", "--out", "out")
    assert code == 2 and not Path("written").exists() and not Path("out").exists()
    assert "solver.petsc.ksp_monitor: expected true or false; a case file writes to the terminal only" in text
    # The same on the command line is the user's own.
    write_case(LINE, {"solver": {"method": "gamg"}})
    assert cli.main(["run", "case.toml", "--out", "out", "-q", "--", "-ksp_monitor", "ascii:written"]) == 0
    assert "Residual norm" in Path("written").read_text()


@pytest.mark.parametrize("model", ["usadel", "boltzmann", "clusters"])
def test_files_of_all_models(answer: Answer, model: str) -> None:
    Path("case.toml").write_text(tomlkit.dumps({"model": model, "solver": {"petsc": {"log_view": ":x"}}}))
    code, text = answer("check", "case.toml")
    assert code == 2 and text.startswith("case.toml: solver.petsc.log_view: not an option that a case file")


def test_files_of_stages(answer: Answer) -> None:
    inner = {"model": "usadel", "solver": {"petsc": {"ksp_type": "python"}}}
    Path("inner.toml").write_text(tomlkit.dumps(inner))
    for stage, where in (
        ({"name": "a", "case": inner}, "case.toml: stages[0].case.solver.petsc.ksp_type: "),
        ({"name": "a", "file": "inner.toml"}, "inner.toml: solver.petsc.ksp_type: "),
    ):
        Path("case.toml").write_text(tomlkit.dumps({"model": "stages", "stages": [stage]}))
        code, text = answer("check", "case.toml")
        assert code == 2 and where in text


ALLOWED = [
    ("ksp_rtol", 1e-12),
    ("ksp_rtol", "1e-12"),
    ("ksp_type", "fgmres"),
    ("ksp_norm_type", "unpreconditioned"),
    ("ksp_monitor", True),
    ("ksp_view", True),
    ("pc_gamg_threshold", 0.02),
    ("mg_levels_ksp_max_it", 3),
    ("mg_levels_1_pc_type", "jacobi"),
    ("inner_sub_pc_factor_levels", 2),
    ("pc_hypre_boomeramg_strong_threshold", 0.5),
    ("pc_hypre_boomeramg_relax_type_all", "symmetric-SOR/Jacobi"),
    ("mat_mumps_icntl_14", 50),
    ("gap_snes_anderson_m", 3),
    ("flow_ksp_rtol", 1e-3),
    ("slope_ksp_max_it", 30),
    ("newton_tangent_ksp_max_it", 50),
    ("newton_snes_linesearch_type", "basic"),
    ("cluster_ts_rosw_type", "2p"),
    ("ts_ts_adapt_safety", 0.3),
    ("ts_ts_max_snes_failures", -1),
    ("ts_ts_adapt_clip", "0.1,5"),
    ("steady_snes_lag_jacobian", 3),
]
REFUSED = [
    ("ksp_type", "python"),
    ("pc_type", "Python"),
    ("mg_coarse_pc_type", "shell"),
    ("pc_type", "library.so:function"),
    ("snes_python_type", "a.B"),
    ("ksp_monitor", "draw"),
    ("ksp_monitor", "python:x"),
    ("ksp_monitor_solution", True),
    ("ksp_gmres_monitor", "ascii:x"),
    ("ksp_view_mat", "binary:x"),
    ("ksp_rtol", "file"),
    ("ksp_rtol", "1 -options_file x"),
    ("options_file", "x"),
    ("mat_mumps_ooc_tmpdir", "/tmp"),
    ("ts_ts_trajectory_dirname", "x"),
    ("ts_ts_adapt_history", "x"),
    ("pc_hypre_boomeramg_print_debug", 1),
    ("pc_type -options_file x", 1),
    ("on_error_attach_debugger", True),
    ("é" * 1000, 1),
]


def test_the_list() -> None:
    for key, value in ALLOWED:
        check_file_options({"solver": {"petsc": {key: value}}}, "case.toml")
    for key, value in REFUSED:
        with pytest.raises(CaseError, match=r"case.toml: solver\.petsc\.") as found:
            check_file_options({"solver": {"petsc": {key: value}}}, "case.toml")
        assert len(str(found.value)) < 400
    check_file_options({"regions": {"petsc": {"diffusivity": "1 m^2/s"}}}, "case.toml")


def test_files_of_options_in_the_current_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "strange.py").write_text(SCRIPT)
    options = "-fvqp_pc_type python\n-fvqp_pc_python_type strange.py:PC\n"
    (tmp_path / ".petscrc").write_text(options)
    program = "from fvqp.petsc import PETSc; print(PETSc.Options('fvqp_').getAll())"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.strip() == "{}", done.stderr
