"""Study of several stages, each in a folder of its own within the results folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from fvqp.case import models
from fvqp.case.reading import case_from_dict
from fvqp.case.recorder import Recorder
from fvqp.case.stages.plan import PlannedStage, plan
from fvqp.case.stages.schema import StagesCase
from fvqp.case.study import Study
from fvqp.errors import CaseError, CheckpointError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.dataset import read_dataset, write_dataset
from fvqp.results.files import write_text
from fvqp.results.folder import ResultsFolder
from fvqp.results.result import Result, open_result

log = logging.getLogger(__name__)

FINISHED = "stages.json"
"""Name of each finished stage → hash of its case."""


class StagesStudy(Study[Recorder]):
    """Stages one after the other; what is computed stays, whichever of them fails."""

    case: StagesCase

    def run(self, resume: bool) -> Result:
        case, comm = self.case, self.comm
        if self.out is None:
            raise CaseError(
                f"{case.source}: stages hand over results in folders: name the results folder (out=)"
            )
        planned = plan(case)
        with ResultsFolder(self.out, case.resolved_toml(), case.hash, comm, resume) as folder:
            finished: dict[str, str] = run_on_root(comm, lambda: _finished(folder.path) if resume else {})
            for number, stage in enumerate(planned, 1):
                here = f"stage {number} of {len(planned)}, {stage.name}"
                try:
                    part = stage.located(folder.path)
                    if finished.get(stage.name) == part.hash:
                        if comm.rank == 0:
                            log.info("%s: finished before", here)
                        continue
                    if comm.rank == 0:
                        log.info("%s", here)
                    models.run(part, folder.path / stage.name, resume, comm)
                except FvqpError as error:
                    raise stage.case.naming(error) from None
                finished[stage.name] = part.hash
                run_on_root(comm, lambda: write_text(folder.path / FINISHED, json.dumps(finished, indent=1)))
            run_on_root(comm, lambda: _take_last(case, folder, planned))
            self.tell_end()
        return open_result(folder.path)

    def check(self) -> str:
        texts = []
        for stage in plan(self.case):
            if stage.links:
                earlier = ", ".join(dict.fromkeys(stage.links.values()))
                texts.append(f"{stage.source}: valid\n  sizes      follow from the results of {earlier}")
            else:
                texts.append(models.check(case_from_dict(stage.data, stage.source, stage.folder)))
        return "\n".join([f"{self.case.source}: valid", *texts])


def _finished(path: Path) -> dict[str, str]:
    """Stages that an earlier run has finished and whose results are still there."""
    file = path / FINISHED
    if not file.is_file():
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(name): str(found)
            for name, found in known.items()
            if (path / str(name) / "results.nc").is_file()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{file}: damaged or not a list of finished stages ({error})") from None


def _take_last(case: StagesCase, folder: ResultsFolder, planned: list[PlannedStage]) -> None:
    """Writes the results of the last stage as those of the whole, and draws their figures. On rank 0."""
    dataset = read_dataset(folder.path / planned[-1].name / "results.nc")
    dataset.attrs |= folder.attributes | {"stages": json.dumps([stage.name for stage in planned])}
    if case.title:
        dataset.attrs["title"] = case.title
    write_dataset(dataset, folder.results)
    for file in Result(dataset, folder.path).save_figures():
        log.info("figure %s", file)


STUDY = StagesStudy
