"""Layouts and meshes of the devices of cases/devices.

    python meshes/devices/geometry.py [NAME ...] [--size-factor 0.5] [--out DIR]

writes the named meshes (all by default) as gmsh 2.2 files, coordinates in micrometres. The first three are
drawn as GDS layouts, which are written too, and meshed as `fvqp mesh from-gds` does it; the last two are
made with gmsh itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import gdstk
import gmsh

from fvqp.mesh.layout import Layer, Marker, Stack, mesh_from_gds, stack_from_toml
from fvqp.mesh.scripts import command_line, gmsh_file

UM = 1e-6
DRAWN = datetime(2026, 1, 1)
"""Written into layouts, so that they do not differ from run to run."""


def write_layout(path: Path, *shapes: object) -> None:
    """A layout of one cell, on a grid of 1 nm; the same shapes give the same file."""
    library = gdstk.Library("devices", unit=1e-6, precision=1e-9)
    library.new_cell("DEVICE").add(*shapes)
    library.write_gds(path, timestamp=DRAWN)


def layers(name: str, factor: float) -> Stack:
    """The layers of a device by the file beside this one, triangles larger by ``factor``."""
    stack = stack_from_toml(Path(__file__).with_name(f"{name}_layers.toml"))
    sized = (layer.model_copy(update={"size": factor * layer.size}) for layer in stack.layers if layer.size)
    return stack.model_copy(update={"layers": tuple(sized)})


def film_with_trap(folder: Path, factor: float) -> None:
    """A film of 1000 × 500 um with a trap of 100 × 100 um in its left half."""
    path = folder / "film_with_trap.gds"
    film = gdstk.rectangle((0, 0), (1000, 500), layer=1)
    trap = gdstk.rectangle((200, 200), (300, 300), layer=2)
    write_layout(path, film, trap)
    mesh_from_gds(path, layers("film_with_trap", factor), path.with_suffix(".msh"))


def qubit_chip(folder: Path, factor: float) -> None:
    """A chip of 2 × 1 mm, 0.3 mm thick, with four pads of 120 × 120 um, 0.1 um thick."""
    path = folder / "qubit_chip.gds"
    pads = [
        gdstk.rectangle((x - 60, y - 60), (x + 60, y + 60), layer=10 + k)
        for k, (x, y) in enumerate([(250, 250), (750, 650), (1250, 350), (1750, 750)])
    ]
    write_layout(path, gdstk.rectangle((0, 0), (2000, 1000), layer=1), *pads)
    mesh_from_gds(path, layers("qubit_chip", factor), path.with_suffix(".msh"))


def mkid(folder: Path, factor: float) -> None:
    """A meander of lines 2 um wide, 40 um long and 4 um apart, with a pad that is grounded at one end."""
    path = folder / "mkid.gds"
    points = [(0.0, 0.0)]
    for line in range(4):
        x = 40.0 if line % 2 == 0 else 0.0
        points += [(x, 4.0 * line), (x, 4.0 * (line + 1))]
    line = gdstk.FlexPath(points[:-1], 2.0, layer=1)
    pad = gdstk.rectangle((-10, -8), (0, 1), layer=1)
    marker = gdstk.rectangle((-11, -9), (-9.5, 2), layer=9)
    write_layout(path, line, pad, marker)
    stack = Stack(
        layers=(Layer(layer="1/0", name="meander", size=2.2 * factor * UM),),
        boundaries=(Marker(layer="9/0", name="ground"),),
    )
    mesh_from_gds(path, stack, path.with_suffix(".msh"))


def absorber_3d(folder: Path, factor: float) -> None:
    """A block of 100 × 40 × 40 um with a wire along its top, 4 um wide and 0.1 um thick."""
    length, width, depth, wire, thickness = 100.0, 40.0, 40.0, 4.0, 0.1
    along, beside, down = (max(1, round(n / factor)) for n in (20, 4, 5))
    with gmsh_file(folder / "absorber_3d.msh"):
        geo = gmsh.model.geo
        rows = (-0.5 * width, -0.5 * wire, 0.5 * wire, 0.5 * width)
        points = [[geo.addPoint(x, y, 0.0) for x in (0.0, length)] for y in rows]
        crossing = [geo.addLine(a[k], b[k]) for k in (0, 1) for a, b in pairwise(points)]
        lines = [geo.addLine(*ends) for ends in points]
        surfaces = []
        for k in range(3):
            loop = geo.addCurveLoop([lines[k], crossing[3 + k], -lines[k + 1], -crossing[k]])
            surfaces.append(geo.addPlaneSurface([loop]))
        for line in lines:
            geo.mesh.setTransfiniteCurve(line, along + 1)
        for k, line in enumerate(crossing):
            # Cells grow away from the wire.
            side = k % 3
            count = 1 if side == 1 else beside
            geo.mesh.setTransfiniteCurve(line, count + 1, "Progression", {0: 0.6, 1: 1.0, 2: 1.0 / 0.6}[side])
        for surface in surfaces:
            geo.mesh.setTransfiniteSurface(surface)
            geo.mesh.setRecombine(2, surface)
        levels = [2.0**k for k in range(down)]
        heights = [sum(levels[: k + 1]) / sum(levels) for k in range(down)]
        below = [
            geo.extrude([(2, s)], 0, 0, -depth, numElements=[1] * down, heights=heights, recombine=True)
            for s in surfaces
        ]
        above = geo.extrude([(2, surfaces[1])], 0, 0, thickness, numElements=[1], recombine=True)
        geo.synchronize()
        # An extrusion lists the copy of the surface, the volume, then a side for every curve of the loop.
        gmsh.model.addPhysicalGroup(3, [made[1][1] for made in below], name="block")
        gmsh.model.addPhysicalGroup(3, [above[1][1]], name="wire")
        gmsh.model.addPhysicalGroup(2, [surfaces[1]], name="contact")
        gmsh.model.addPhysicalGroup(2, [made[0][1] for made in below], name="bottom")
        gmsh.model.addPhysicalGroup(2, [above[5][1]], name="wire_end")
        gmsh.model.mesh.generate(3)


def films_on_crystal(folder: Path, factor: float) -> None:
    """Cross-section of a crystal, 60 × 20 um, with two strips of film on it, 10 um wide and 0.1 um thick."""
    depth, thickness, size = 20.0, 0.1, 2.5 * factor
    edges = (-30.0, -20.0, -10.0, 10.0, 20.0, 30.0)
    down = max(1, round(depth / size))
    with gmsh_file(folder / "films_on_crystal.msh"):
        geo = gmsh.model.geo
        rows = [[geo.addPoint(x, y, 0.0) for x in edges] for y in (-depth, 0.0)]
        bases, tops = ([geo.addLine(*ends) for ends in pairwise(row)] for row in rows)
        sides = [geo.addLine(*ends) for ends in zip(*rows, strict=True)]
        for side in sides:
            geo.mesh.setTransfiniteCurve(side, down + 1)
        crystal, films = [], []
        for k, (low, high) in enumerate(pairwise(edges)):
            for line in (bases[k], tops[k]):
                geo.mesh.setTransfiniteCurve(line, max(1, round((high - low) / size)) + 1)
            loop = geo.addCurveLoop([bases[k], sides[k + 1], -tops[k], -sides[k]])
            crystal.append(geo.addPlaneSurface([loop]))
            geo.mesh.setTransfiniteSurface(crystal[-1])
            geo.mesh.setRecombine(2, crystal[-1])
        for k in (1, 3):
            _, film, *_ = geo.extrude([(1, tops[k])], 0, thickness, 0, numElements=[1], recombine=True)
            films.append(film[1])
        geo.synchronize()
        gmsh.model.addPhysicalGroup(2, crystal, name="crystal")
        for film, name in zip(films, ("injector", "detector"), strict=True):
            gmsh.model.addPhysicalGroup(2, [film], name=name)
        gmsh.model.addPhysicalGroup(1, bases, name="bottom")
        gmsh.model.addPhysicalGroup(1, [sides[0], sides[-1]], name="sides")
        gmsh.model.addPhysicalGroup(1, [tops[k] for k in (0, 2, 4)], name="free_surface")
        gmsh.model.mesh.generate(2)


MESHES: dict[str, Callable[[Path, float], None]] = {
    "film_with_trap": film_with_trap,
    "qubit_chip": qubit_chip,
    "mkid": mkid,
    "absorber_3d": absorber_3d,
    "films_on_crystal": films_on_crystal,
}


def main() -> None:
    """Command line: which meshes, how fine, where to."""
    options = command_line(
        "Make the layouts and meshes of the devices.", MESHES, Path(__file__).parent
    ).parse_args()
    for name in options.names:
        MESHES[name](options.out, options.size_factor)


if __name__ == "__main__":
    main()
