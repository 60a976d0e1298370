"""A wire with a side arm between two junctions, as lines and as a film.

    python meshes/networks/geometry.py [line film] [--size-factor 0.5] [--out DIR]

writes ``side_arm_line.msh`` and ``side_arm_film.msh`` (both by default) as gmsh 2.2 files, coordinates in
micrometres. README.md lists the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import gmsh

from fvqp.mesh.scripts import command_line, gmsh_file


@dataclass(frozen=True)
class SideArm:
    """The device; lengths in micrometres. The wire lies along x, the arm leaves it at x = 0 along y."""

    half_length: float = 2.0
    arm: float = 0.5
    width: float = 0.050
    junction_width: float = 0.100
    #: Distance of the junctions' middles from the crossing.
    junction_at: float = 0.200

    #: Every cell size below is multiplied by this.
    size_factor: float = 1.0
    line_size: float = 0.010
    film_size: float = 0.0125
    film_largest: float = 0.0250

    @property
    def pieces(self) -> list[tuple[str, float, float]]:
        """``(region, start, end)`` along the wire, left to right."""
        near, far = (self.junction_at + s * 0.5 * self.junction_width for s in (-1, 1))
        return [
            ("wire", -self.half_length, -far),
            ("junction_A", -far, -near),
            ("wire", -near, near),
            ("junction_B", near, far),
            ("wire", far, self.half_length),
        ]


def line(device: SideArm) -> None:
    """Lines of equal cells; the wire's piece in the middle is divided where the arm leaves it."""
    geo = gmsh.model.geo
    at = sorted({x for _, *ends in device.pieces for x in ends} | {0.0})
    points = {x: geo.addPoint(x, 0.0, 0.0) for x in at}
    tip = geo.addPoint(0.0, device.arm, 0.0)
    regions: dict[str, list[int]] = {}

    def add(name: str, a: int, b: int, length: float) -> None:
        curve = geo.addLine(a, b)
        geo.mesh.setTransfiniteCurve(curve, round(length / (device.line_size * device.size_factor)) + 1)
        regions.setdefault(name, []).append(curve)

    for start, end in pairwise(at):
        middle = 0.5 * (start + end)
        name = next(name for name, low, high in device.pieces if low < middle < high)
        add(name, points[start], points[end], end - start)
    add("side_arm", points[0.0], tip, device.arm)
    geo.synchronize()
    for name, curves in regions.items():
        gmsh.model.addPhysicalGroup(1, curves, name=name)
    marked = {
        "reservoir_left": points[at[0]],
        "reservoir_right": points[at[-1]],
        "reservoir_side": tip,
        "crossing": points[0.0],
    }
    for name, point in marked.items():
        gmsh.model.addPhysicalGroup(0, [point], name=name)
    gmsh.model.mesh.generate(1)


def film(device: SideArm) -> None:
    """Triangles, finest where the film branches and at the junctions."""
    half = 0.5 * device.width
    boxes = [(name, low, -half, high, half) for name, low, high in device.pieces]
    boxes.append(("side_arm", -half, half, half, device.arm))
    occ = gmsh.model.occ
    parts = [(2, occ.addRectangle(x0, y0, 0.0, x1 - x0, y1 - y0)) for _, x0, y0, x1, y1 in boxes]
    _, made = occ.fragment(parts[:1], parts[1:])
    occ.synchronize()
    regions: dict[str, list[int]] = {}
    for (name, *_), entities in zip(boxes, made, strict=True):
        regions.setdefault(name, []).extend(tag for _, tag in entities)
    for name, surfaces in regions.items():
        gmsh.model.addPhysicalGroup(2, surfaces, name=name)
    ends = {
        "reservoir_left": (-device.half_length, -half, -device.half_length, half),
        "reservoir_right": (device.half_length, -half, device.half_length, half),
        "reservoir_side": (-half, device.arm, half, device.arm),
    }
    for name, (x0, y0, x1, y1) in ends.items():
        eps = 1e-6
        box = (x0 - eps, y0 - eps, -1.0, x1 + eps, y1 + eps, 1.0)
        curves = [tag for _, tag in gmsh.model.getEntitiesInBoundingBox(*box, 1)]
        gmsh.model.addPhysicalGroup(1, curves, name=name)

    def size(_dim: int, _tag: int, x: float, y: float, _z: float, _size: float) -> float:
        away = max((x * x + y * y) ** 0.5 - device.junction_at - device.junction_width, 0.0)
        return device.size_factor * min(device.film_size + 0.1 * away, device.film_largest)

    gmsh.model.mesh.setSizeCallback(size)
    for option in ("FromPoints", "FromCurvature", "ExtendFromBoundary"):
        gmsh.option.setNumber(f"Mesh.MeshSize{option}", 0)
    gmsh.model.mesh.generate(2)


MESHES: dict[str, Callable[[SideArm], None]] = {"line": line, "film": film}


def main() -> None:
    """Command line: which meshes, how fine, where to."""
    options = command_line(
        "Make the meshes of the wire with a side arm.", MESHES, Path(__file__).parent
    ).parse_args()
    for name in options.names:
        with gmsh_file(options.out / f"side_arm_{name}.msh"):
            MESHES[name](SideArm(size_factor=options.size_factor))


if __name__ == "__main__":
    main()
