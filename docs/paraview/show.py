"""Opens the fields of a run in ParaView, coloured, with the time in the picture.

    pvpython docs/paraview/show.py RUN [FIELD] [--log] [--slice z=-5] [--stretch z=50]
                                   [--state run.pvsm] [--picture run.png] [--film run.avi]

RUN is a results folder, or one of its .pvd files. FIELD is a name as in the case (gap) or in ParaView
(gap (ueV)); without one, the names are listed. A state opens in ParaView with File > Load State, ready to
play; a film may be .avi, .ogv or a series of .png. Lengths are in micrometres.
Cells without a gap are grey in pictures of the gap and of quasiparticles. ParaView 5.10 and newer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paraview import simple

AXES = {"x": 0, "y": 1, "z": 2}
SUPERCONDUCTING = ("gap", "n_qp_cell", "energy_qp_cell")
"""Fields whose colours leave out cells without a gap, as in films by `fvqp plot --animate`."""
SMALLEST_GAP, LARGEST = 1e-30, 1e30
"""Cells without a gap have zero in its place."""


def main() -> None:
    options = arguments()
    source = reader(options.run)
    names = list(source.CellData.keys())
    name = next((n for n in names if options.field in (n, n.split(" (")[0])), None)
    if name is None:
        shown = ", ".join(n for n in names if n not in ("cell", "region"))
        sys.exit(f"fields of {options.run}: {shown}")

    view = simple.GetActiveViewOrCreate("RenderView")
    view.ViewSize = [1280, 800]
    view.Background = [1.0, 1.0, 1.0]
    view.UseColorPaletteForBackground = 0
    shape = source
    if options.stretch:
        axis, times = options.stretch
        shape = simple.Transform(Input=shape)
        scale = [1.0, 1.0, 1.0]
        scale[axis] = times
        shape.Transform.Scale = scale
    if options.slice:
        axis, at = options.slice
        normal, origin = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        normal[axis] = 1.0
        origin[axis] = at * (options.stretch[1] if options.stretch and options.stretch[0] == axis else 1.0)
        shape = simple.Slice(Input=shape)
        shape.SliceType.Normal = normal
        shape.SliceType.Origin = origin
    gap = next((n for n in names if n.split(" (")[0] == "gap"), None)
    if gap and name.split(" (")[0] in SUPERCONDUCTING and source.CellData[gap].GetRange()[1] > 0.0:
        # Normal metals have electrons at all energies, which would leave no colours for the others.
        shape, normal_metal = with_gap(shape, gap, True), with_gap(shape, gap, False)
        grey = simple.Show(normal_metal, view)
        simple.ColorBy(grey, None)
        grey.AmbientColor = grey.DiffuseColor = [0.83, 0.83, 0.83]
    display = simple.Show(shape, view)
    simple.ColorBy(display, ("CELLS", name))
    colours = simple.GetColorTransferFunction(name)
    colours.ApplyPreset("Viridis (matplotlib)", True)
    # One scale for all times, so that colours can be compared.
    display.RescaleTransferFunctionToDataRangeOverTime()
    if options.log:
        colours.MapControlPointsToLogSpace()
        colours.UseLogScale = 1
    display.SetScalarBarVisibility(view, True)
    bar = simple.GetScalarBar(colours, view)
    bar.Title, bar.ComponentTitle = name, ""
    bar.TitleColor = bar.LabelColor = [0.0, 0.0, 0.0]
    time = simple.AnnotateTimeFilter(Input=source)
    time.Format = label(options.run) + ": {time:.6g}"
    simple.Show(time, view).Color = [0.0, 0.0, 0.0]

    scene = simple.GetAnimationScene()
    scene.UpdateAnimationUsingDataTimeSteps()
    scene.GoToLast()
    simple.ResetCamera(view)
    simple.Render(view)
    if options.picture:
        simple.SaveScreenshot(str(options.picture), view)
    if options.film:
        simple.SaveAnimation(str(options.film), view, FrameRate=8)
    if options.state:
        scene.GoToFirst()
        simple.SaveState(str(options.state))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("field", nargs="?", default="", metavar="FIELD")
    parser.add_argument("--log", action="store_true", help="colour by the logarithm")
    parser.add_argument("--slice", type=along, metavar="AXIS=AT", help="cut at a coordinate")
    parser.add_argument("--stretch", type=along, metavar="AXIS=TIMES", help="stretch a thin direction")
    parser.add_argument("--state", type=Path, help="save ParaView's state")
    parser.add_argument("--picture", type=Path, help="save the last time")
    parser.add_argument("--film", type=Path, help="save all times")
    return parser.parse_args()


def along(text: str) -> tuple[int, float]:
    """Axis and number of ``z=50``."""
    axis, _, number = text.partition("=")
    if axis not in AXES:
        raise argparse.ArgumentTypeError(f"expected x, y or z and a number, such as z=50, got {text}")
    return AXES[axis], float(number)


def pvd(run: Path) -> Path:
    """The list of steps of a run."""
    found = [run] if run.suffix == ".pvd" else sorted(run.glob("*.pvd"))
    if len(found) != 1:
        there = ", ".join(file.name for file in found) or "none: name some in output.fields of the case"
        sys.exit(f"{run}: name one of its series of fields: {there}")
    return found[0]


def reader(run: Path) -> object:
    """The steps as a source of ParaView's."""
    source = simple.PVDReader(FileName=str(pvd(run).resolve()))
    source.UpdatePipeline()
    return source


def with_gap(shape: object, gap: str, there: bool) -> object:
    """Cells with a gap, or those without."""
    low, high = (SMALLEST_GAP, LARGEST) if there else (-LARGEST, 0.0)
    return simple.Threshold(Input=shape, Scalars=("CELLS", gap), LowerThreshold=low, UpperThreshold=high)


def label(run: Path) -> str:
    """What the times of the steps are, as the run has written it down."""
    _, found, rest = pvd(run).read_text(encoding="utf-8").partition('label="')
    return rest.split('"')[0] if found else "step"


if __name__ == "__main__":
    main()
