"""Results: netCDF, ParaView files, checkpoints, ledger, progress, figures; nothing here knows a model."""

from fvqp.results.checkpoint import Checkpoint
from fvqp.results.dataset import SweepDataset
from fvqp.results.fields import FieldSeries
from fvqp.results.folder import ResultsFolder
from fvqp.results.ledger import Ledger
from fvqp.results.measured import measured_parts
from fvqp.results.progress import SweepProgress
from fvqp.results.result import Result, open_result
from fvqp.results.symmetry import symmetry_parts

__all__ = [
    "Checkpoint",
    "FieldSeries",
    "Ledger",
    "Result",
    "ResultsFolder",
    "SweepDataset",
    "SweepProgress",
    "measured_parts",
    "open_result",
    "symmetry_parts",
]
