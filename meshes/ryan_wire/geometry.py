"""Geometry and meshes of the aluminium wire of Ryan, Beckmann and Chandrasekhar (2026).

    python meshes/ryan_wire/geometry.py [line film film_quads wire_3d] [--size-factor 0.5] [--out DIR]

writes the named meshes (all by default) as gmsh 2.2 files, coordinates in micrometres. README.md lists
the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import gmsh

from fvqp.mesh.scripts import command_line, count, gmsh_file


@dataclass(frozen=True)
class Wire:
    """The device and its meshes; lengths in micrometres. The wire lies along x, its middle at the origin."""

    length: float = 11.0
    width: float = 0.150
    thickness: float = 0.008
    pad_length: float = 1.5
    pad_width: float = 2.0
    junction_width: float = 0.150
    junction_pitch: float = 0.300

    #: Every cell size below is multiplied by this: halve it to refine all meshes uniformly.
    size_factor: float = 1.0
    line_size: float = 0.010
    line_growth: float = 1.0135
    film_junction_size: float = 0.030
    film_wire_size: float = 0.060
    film_pad_size: float = 0.300
    quads_size: float = 0.025
    quads_growth: float = 1.08
    #: The 3-D mesh stands on triangles larger than the film's by this factor, with so many layers of prisms.
    prism_size: float = 1.3
    layers: int = 2

    @property
    def junctions(self) -> dict[str, float]:
        """Middle of each junction along the wire."""
        return {"A": -self.junction_pitch, "B": 0.0, "C": self.junction_pitch}

    @property
    def pieces(self) -> list[tuple[str, float, float]]:
        """``(region, start, end)`` along the wire, left to right, pads excluded."""
        result, x = [], -0.5 * self.length
        for name, middle in self.junctions.items():
            start, end = middle - 0.5 * self.junction_width, middle + 0.5 * self.junction_width
            result += [("wire", x, start), (f"junction_{name}", start, end)]
            x = end
        return [*result, ("wire", x, 0.5 * self.length)]

    def film_size(self, x: float, y: float) -> float:
        """Wanted triangle edge: finest at the junctions, coarsest far inside the pads."""
        beyond = abs(x) - 0.5 * self.length
        if beyond > 0:
            off = (beyond**2 + max(abs(y) - 0.5 * self.width, 0.0) ** 2) ** 0.5
            size = min(self.film_wire_size + 0.35 * off, self.film_pad_size)
        else:
            away = max(abs(x) - self.junction_pitch - self.junction_width, 0.0)
            size = min(self.film_junction_size + 0.1 * away, self.film_wire_size)
        return size * self.size_factor


def geometric_counts(length: float, smallest: float, growth: float) -> tuple[int, float]:
    """Cell count, and the growth that fills ``length`` exactly when the first cell is about ``smallest``."""
    count, reached, step = 0, 0.0, smallest
    while reached < length:
        count, reached, step = count + 1, reached + step, step * growth
    low, high = 1.0 + 1e-12, growth
    for _ in range(80):
        middle = 0.5 * (low + high)
        total = smallest * (middle**count - 1.0) / (middle - 1.0)
        low, high = (middle, high) if total < length else (low, middle)
    return count, high


def name_groups(dim: int, groups: dict[str, list[int]]) -> None:
    """One physical group a name."""
    for name, entities in groups.items():
        gmsh.model.addPhysicalGroup(dim, entities, name=name)


def line(wire: Wire) -> None:
    """The wire as a line: `line_size` over the junctions, growing geometrically towards the reservoirs."""
    smallest = wire.line_size * wire.size_factor
    growth = 1.0 + (wire.line_growth - 1.0) * wire.size_factor
    at = {piece[1] for piece in wire.pieces} | {0.5 * wire.length} | set(wire.junctions.values())
    tags = {x: gmsh.model.geo.addPoint(x, 0.0, 0.0) for x in sorted(at)}
    xs = sorted(tags)
    regions: dict[str, list[int]] = {}
    for start, end in pairwise(xs):
        curve = gmsh.model.geo.addLine(tags[start], tags[end])
        arm = end == xs[-1] or start == xs[0]
        count, ratio = geometric_counts(end - start, smallest, growth) if arm else (0, 1.0)
        if arm:
            gmsh.model.geo.mesh.setTransfiniteCurve(
                curve, count + 1, "Progression", ratio if end > 0 else 1.0 / ratio
            )
        else:
            gmsh.model.geo.mesh.setTransfiniteCurve(curve, max(round((end - start) / smallest), 1) + 1)
        middle = 0.5 * (start + end)
        region = next(name for name, low, high in wire.pieces if low < middle < high)
        regions.setdefault(region, []).append(curve)
    gmsh.model.geo.synchronize()
    name_groups(1, regions)
    name_groups(0, {"reservoir_left": [tags[xs[0]]], "reservoir_right": [tags[xs[-1]]]})
    name_groups(0, {f"point_{name}": [tags[x]] for name, x in wire.junctions.items()})
    gmsh.model.mesh.generate(1)


def film_surfaces(wire: Wire) -> dict[str, list[int]]:
    """Conforming rectangles of pads, wire and junctions in the plane z = 0; region → surfaces."""
    half_length, half_width = 0.5 * wire.length, 0.5 * wire.width
    boxes = [(name, x0, -half_width, x1, half_width) for name, x0, x1 in wire.pieces]
    pad = 0.5 * wire.pad_width
    boxes.append(("pad_left", -half_length - wire.pad_length, -pad, -half_length, pad))
    boxes.append(("pad_right", half_length, -pad, half_length + wire.pad_length, pad))
    parts = [(2, gmsh.model.occ.addRectangle(x0, y0, 0.0, x1 - x0, y1 - y0)) for _, x0, y0, x1, y1 in boxes]
    _, made = gmsh.model.occ.fragment(parts[:1], parts[1:])
    gmsh.model.occ.synchronize()
    regions: dict[str, list[int]] = {}
    for (name, *_), entities in zip(boxes, made, strict=True):
        regions.setdefault(name, []).extend(tag for _, tag in entities)
    return regions


def entities_at(dim: int, x: float) -> list[int]:
    """Entities that lie wholly in the plane of this x."""
    eps = 1e-6
    found = gmsh.model.getEntitiesInBoundingBox(x - eps, -1e3, -1e3, x + eps, 1e3, 1e3, dim)
    return [tag for _, tag in found]


def reservoirs(dim: int, wire: Wire) -> dict[str, list[int]]:
    """The outer ends of the two pads."""
    end = 0.5 * wire.length + wire.pad_length
    return {"reservoir_left": entities_at(dim, -end), "reservoir_right": entities_at(dim, end)}


def use_film_sizes(wire: Wire) -> None:
    """Triangle sizes come from `Wire.film_size` alone."""
    gmsh.model.mesh.setSizeCallback(lambda dim, tag, x, y, z, size: wire.film_size(x, y))
    for option in ("FromPoints", "FromCurvature", "ExtendFromBoundary"):
        gmsh.option.setNumber(f"Mesh.MeshSize{option}", 0)


def film(wire: Wire) -> None:
    """Triangles, finest at the junctions."""
    regions = film_surfaces(wire)
    name_groups(2, regions)
    name_groups(1, reservoirs(1, wire))
    use_film_sizes(wire)
    gmsh.model.mesh.generate(2)


def film_quads(wire: Wire) -> None:
    """Rectangles on lines x = const and y = const: every face is orthogonal to the line between its cells."""
    smallest = wire.quads_size * wire.size_factor
    growth = 1.0 + (wire.quads_growth - 1.0) * wire.size_factor
    half_length, half_width = 0.5 * wire.length, 0.5 * wire.width
    end, pad = half_length + wire.pad_length, 0.5 * wire.pad_width
    columns = [("pad_left", -end, -half_length), *wire.pieces, ("pad_right", half_length, end)]
    rows = [(-pad, -half_width), (-half_width, half_width), (half_width, pad)]
    geo = gmsh.model.geo
    points: dict[tuple[float, float], int] = {}
    curves: dict[tuple[int, int], int] = {}

    def point(x: float, y: float) -> int:
        if (x, y) not in points:
            points[x, y] = geo.addPoint(x, y, 0.0)
        return points[x, y]

    def curve(a: int, b: int, span: tuple[float, float], graded: bool) -> int:
        """The line from a to b; graded lines are finest at the end nearer to the middle of the device."""
        if (a, b) not in curves:
            curves[a, b] = geo.addLine(a, b)
            length = span[1] - span[0]
            count, ratio = geometric_counts(length, smallest, growth) if graded else (0, 1.0)
            if not graded:
                count = max(round(length / smallest), 1)
            geo.mesh.setTransfiniteCurve(
                curves[a, b], count + 1, "Progression", ratio if span[1] > abs(span[0]) else 1.0 / ratio
            )
        return curves[a, b]

    regions: dict[str, list[int]] = {}
    for name, x0, x1 in columns:
        for y0, y1 in rows if name.startswith("pad") else rows[1:2]:
            a, b, c, d = point(x0, y0), point(x1, y0), point(x1, y1), point(x0, y1)
            graded_x = x0 < -wire.junction_pitch - wire.junction_width or x1 > (
                wire.junction_pitch + wire.junction_width
            )
            graded_y = y0 * y1 > 0
            bottom, top = (curve(p, q, (x0, x1), graded_x) for p, q in ((a, b), (d, c)))
            left, right = (curve(p, q, (y0, y1), graded_y) for p, q in ((a, d), (b, c)))
            surface = geo.addPlaneSurface([geo.addCurveLoop([bottom, right, -top, -left])])
            geo.mesh.setTransfiniteSurface(surface)
            geo.mesh.setRecombine(2, surface)
            regions.setdefault(name, []).append(surface)
    geo.synchronize()
    name_groups(2, regions)
    name_groups(1, reservoirs(1, wire))
    gmsh.model.mesh.generate(2)


def wire_3d(wire: Wire) -> None:
    """The film's triangles extruded to prisms, `layers` of them across the thickness."""
    flat = film_surfaces(wire)
    groups: dict[str, list[int]] = {}
    tops: dict[str, list[int]] = {}
    names = [(name, surface) for name, surfaces in flat.items() for surface in surfaces]
    made = gmsh.model.occ.extrude(
        [(2, surface) for _, surface in names],
        0.0,
        0.0,
        wire.thickness,
        numElements=[wire.layers],
        recombine=True,
    )
    gmsh.model.occ.synchronize()
    # An extrusion lists for every surface: its copy on top, the volume, the sides.
    volumes = [i for i, (dim, _) in enumerate(made) if dim == 3]
    for (name, _), i in zip(names, volumes, strict=True):
        groups.setdefault(name, []).append(made[i][1])
        if name.startswith("junction_"):
            tops.setdefault(name.replace("junction_", "top_"), []).append(made[i - 1][1])
    name_groups(3, groups)
    name_groups(2, {**reservoirs(2, wire), **tops})
    use_film_sizes(replace(wire, size_factor=wire.size_factor * wire.prism_size))
    gmsh.model.mesh.generate(3)


MESHES: dict[str, Callable[[Wire], None]] = {
    "line": line,
    "film": film,
    "film_quads": film_quads,
    "wire_3d": wire_3d,
}


def write(name: str, wire: Wire, folder: Path) -> None:
    """Makes one mesh and writes it as ``folder/name.msh``."""
    with gmsh_file(folder / f"{name}.msh"):
        MESHES[name](wire)


def main() -> None:
    """Command line: which meshes, how fine, where to."""
    parser = command_line("Make the meshes of the wire.", MESHES, Path(__file__).parent)
    parser.add_argument("--layers", type=count, default=Wire.layers, help="prisms across the thickness")
    options = parser.parse_args()
    wire = Wire(size_factor=options.size_factor, layers=options.layers)
    for name in options.names:
        write(name, wire, options.out)


if __name__ == "__main__":
    main()
