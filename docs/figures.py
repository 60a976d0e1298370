"""Pictures of the site, from the cases of ``cases``.

    python docs/figures.py [--results DIR] [NAME ...]

computes what is not in DIR yet (default: ``out``, as ``make demo``), goes on where it was stopped, and writes
``docs/_static/NAME.png``, of all pictures by default.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyvista
from matplotlib import pyplot
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

import fvqp
from fvqp.results import Result
from fvqp.results.figures import FigureSpec, draw

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "docs" / "_static"


class Variant(NamedTuple):
    """A case of ryan2026 in a variant: its label, what `--set` changes, and its name."""

    label: str
    overrides: Sequence[str] = ()
    case: str = "sign"


def copper(resistance: str) -> list[str]:
    """Leads of two micrometres of copper on both junctions, as overrides."""
    lead = f'{{volume="0.024 um^3", material="Cu", resistance="{resistance}"}}'
    return [f"junctions.{junction}.lead={lead}" for junction in "AB"]


def biases(*positive: float) -> str:
    """Injector biases in units of the gap, of both signs, as an override."""
    both = [-v for v in positive[::-1]] + list(positive)
    return "sweep.V_inj=[" + ", ".join(f'"{v:g} Delta0"' for v in both) + "]"


CURVES = {
    "fig10": ("ryan2026/fig10", "g_ss"),
    "fig13": ("ryan2026/fig13", "g_a"),
    "fig11_elastic": ("ryan2026/fig11_elastic", "gap"),
    "fig11": ("ryan2026/fig11", "gap"),
    "fig11_spectrum": ("ryan2026/fig11", "spectrum"),
    "fig11_real": ("ryan2026/fig11_real", "gap"),
    "fig12": ("ryan2026/fig12", "g_sa"),
    "fig12_real": ("ryan2026/fig12_real", "g_sa"),
    "fig6": ("ryan2026/fig6", "map"),
    "hot_spot": ("ryan2026/hot_spot", "fields"),
    "bistable": ("ryan2026/bistable", "gap"),
    "hot_electrons": ("nagaev1995/hot_electrons", "fields"),
    "sn_wire": ("proximity/sn_wire", "fields"),
    "weak_link": ("proximity/weak_link", "current_phase"),
    "weak_link_minigap": ("proximity/weak_link", "minigap"),
    "hot_pulse": ("boltzphlow2026/hot_pulse_al", "distribution"),
    "sphere_shells": ("boltzphlow2026/sphere_pulse", "energy_shells"),
    "sphere_gap": ("boltzphlow2026/sphere_pulse", "gap_profile"),
    "sphere_escaped": ("boltzphlow2026/sphere_pulse", "escaped"),
    "gap_function": ("boltzphlow2026/eliashberg", "gap_function"),
    "lifetimes": ("kaplan1976/lifetimes", "lifetimes"),
    "driven": ("fischer2023/microwave_drive", "distribution"),
    "driven_density": ("fischer2023/microwave_drive", "x_qp"),
    "film_with_trap": ("devices/film_with_trap", "map"),
    "films_on_crystal": ("devices/films_on_crystal", "regions"),
    "qubit_chip": ("devices/qubit_chip", "regions"),
    "mkid": ("devices/mkid", "resonator"),
    "cascade": ("kozorezov2000/cascade", "efficiency"),
    "decay": ("rothwarf1967/decay", "inverse_density"),
    "cluster_distribution": ("meyer2020/distribution", "distribution"),
    "cluster_phases": ("meyer2020/phase_diagram", "phase_diagram"),
    "cluster_relaxation": ("meyer2020/relaxation", "evolution"),
    "localized_film": ("bespalov2016/film", "localized"),
    "localized_concentration": ("bespalov2016/concentration", "concentration"),
    "normal_wire": ("proximity/normal_wire", "fields"),
    "two_steps": ("nagaev1995/two_steps", "fields"),
    "side_arm": ("networks/side_arm", "g_ss"),
    "wire": ("ryan2026/wire", "g_nl"),
    "gap_profile": ("ryan2026/profile", "fields"),
    "hot_spots": ("ryan2026/sign_hot_spots", "g_sa"),
    "hot_pulse_sn": ("boltzphlow2026/hot_pulse_sn", "energies"),
    "sphere_ballistic": ("boltzphlow2026/sphere_ballistic", "density_profile"),
    "sphere_diffusive": ("boltzphlow2026/sphere_diffusive", "density_profile"),
    "trap_noise": ("devices/trap_noise", "injection"),
    "cluster_noise": ("meyer2020/flux_noise", "noise"),
    "cluster_ising": ("meyer2020/ising", "distribution"),
    "cluster_moments": ("meyer2020/moments", "moments"),
    "localized_aluminium": ("bespalov2016/aluminium", "concentration"),
    "localized_low_rates": ("bespalov2016/low_rates", "concentration"),
    "localized_packing": ("bespalov2016/bubbles", "packing"),
    "localized_relaxation": ("bespalov2016/relaxation", "relaxation"),
    "localized_wire": ("bespalov2016/wire", "profile"),
}
"""Picture → case and kind of figure."""
FIELDS = {
    "mobile_wire": ("bespalov2016/wire_transport", "f_L", 1.05),
    "side_arm_film": ("networks/side_arm_film", "f_L", 1.1),
}
"""Picture → case, spectral field of every cell, and its energy in gaps."""
FOLDERS = {"bespalov2016/relaxation": "localized_relaxation", "bespalov2016/wire": "localized_wire"}
"""Cases whose results are in a folder of another name than their file, as another case has that name."""
COARSE = ['mesh.file="../../meshes/ryan_wire/line_coarse.msh"']
SMEARED = ["spectrum.broadening=0.05", biases(0.8, 1, 1.4, 2, 2.6, 3.2)]
"""What the gap of every cell needs to converge soon, and the same for one gap."""
LOCAL = [
    *COARSE,
    *SMEARED,
    'gap={model="local"}',
    "spectrum.model=diffusive",
    "energies.number=200",
    "energies.maximum=5",
]
PROBE, CHARGE = ["junctions.B.injects=false"], ["collisions.charge=true"]
SIGN = {
    "sign": Variant("both inject"),
    "sign_probe": Variant("detector does not inject", PROBE),
    "sign_leads": Variant("copper leads, 10 Ω", copper("10 ohm")),
    "sign_hot_leads": Variant(
        "copper leads, 1 kΩ", [*copper("1 kohm"), "energies.number=300", "energies.maximum=10"]
    ),
    "sign_phase": Variant(
        "$f_\\mathrm{T}$ feeds the supercurrent",
        [
            "supercurrent={phase_gradient=0.0, self_consistent_phase=true, both_signs=false, "
            'from="reservoir_left", to="reservoir_right"}'
        ],
    ),
    "sign_charge": Variant("collisions act on $f_\\mathrm{T}$", CHARGE),
    "sign_at_detector": Variant("gap of the detector", ["gap.at=junction_B"]),
    "sign_smeared": Variant("one gap, Γ = 0.05", [*COARSE, *SMEARED]),
}
"""Variants of the open question with one gap: name of the results → what it is."""
SPOTS = "sign_hot_spots"
OWN_GAPS = {
    "sign_local": Variant("Γ = 0.05", LOCAL),
    "sign_local_probe": Variant("Γ = 0.05, detector does not inject", [*LOCAL, *PROBE]),
    "sign_local_charge": Variant("Γ = 0.05, collisions act on $f_\\mathrm{T}$", [*LOCAL, *CHARGE]),
    "sign_local_leads": Variant("Γ = 0.05, copper leads, 10 Ω", [*LOCAL, *copper("10 ohm")]),
    "sign_spots": Variant("Γ = 0.02", case=SPOTS),
    "sign_spots_probe": Variant("Γ = 0.02, detector does not inject", PROBE, SPOTS),
    "sign_spots_charge": Variant("Γ = 0.02, collisions act on $f_\\mathrm{T}$", CHARGE, SPOTS),
    "sign_spots_sharp": Variant(
        "Γ = 0.005",
        ["spectrum.broadening=0.005", "energies.number=100", biases(1.4, 1.7, 2, 2.3)],
        SPOTS,
    ),
}
"""The same with a gap of every cell."""
STYLES = ("-", "--", ":")
"""Lines of the first variants of a panel, of the next ones, and of the rest."""
SHOWN = 3.0
"""Half the length of wire in the picture of the film, micrometres."""
WIDTH = 0.15
"""Largest distance from the axis of cells in the picture of the wire in 3-D, micrometres."""
STRETCHED = (1.0, 4.0, 30.0)
"""Factors of lengths in that picture."""


def result(case: str, folder: Path, overrides: Sequence[str] = (), name: str = "") -> Result:
    """The results of a case; what is there is not computed again, results of another case are refused."""
    there = folder / (name or FOLDERS.get(case, Path(case).name))
    resume = (there / "results.nc").exists()
    return fvqp.run(ROOT / "cases" / f"{case}.toml", out=there, overrides=overrides, resume=resume)


def curve(name: str, folder: Path, picture: Path) -> None:
    """A figure that the program draws."""
    case, kind = CURVES[name]
    drawn, *_ = result(case, folder).save_figures(folder / "pictures", kind=kind)
    shutil.move(drawn, picture)
    fewer_colours(picture)


def fewer_colours(picture: Path) -> None:
    """Make a picture file smaller, by at most 256 colours."""
    Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)


def field(name: str, folder: Path, picture: Path) -> None:
    """A field of every cell, as the program draws it."""
    case, variable, gaps = FIELDS[name]
    dataset = result(case, folder, [f'output.stored=["{variable}"]'], f"{name}_fields").dataset
    energy = gaps * float(dataset.attrs["delta0_eV"])
    spec = FigureSpec("fields", variable=variable, energy=energy, file=picture.name)
    draw(dataset, spec, picture.parent)
    fewer_colours(picture)


def front(folder: Path, picture: Path) -> None:
    """The figure that the code on the first page of the site draws."""
    code = (
        (ROOT / "docs" / "index.md")
        .read_text(encoding="utf-8")
        .partition("```python\n")[2]
        .partition("```")[0]
    )
    with contextlib.chdir(ROOT):
        exec(compile(code, "docs/index.md", "exec"), {})
    pyplot.savefig(picture)
    pyplot.close()


def film(folder: Path, picture: Path) -> None:
    """Energy mode and charge imbalance of the film at its largest bias, as ParaView would show them."""
    result("ryan2026/wire_film", folder)
    reader = pyvista.get_reader(str(folder / "wire_film" / "fields.pvd"))
    reader.set_active_time_value(reader.time_values[-1])
    grid = reader.read()[0]
    across = 6.0
    part = grid.extract_cells(np.abs(grid.cell_centers().points[:, 0]) < SHOWN)
    part.points[:, 1] *= across
    figure = Figure(figsize=(7.2, 2.6), layout="constrained", dpi=150)
    axes = figure.subplots(2, 1)
    names = [
        ("f_L at 1.05 Delta0", "$f_L$ at 1.05 $\\Delta_0$", "viridis"),
        ("charge_imbalance (C/m^3)", "$Q^*$ (C/m³)", "magma"),
    ]
    for panel, (array, label, colours) in zip(axes, names, strict=True):
        values = part.cell_data[array]
        limits = (float(values.min()), float(values.max()))
        shown = panel.imshow(
            rendered(part, array, colours, limits),
            extent=(-SHOWN, SHOWN, -0.075, 0.075),
            aspect="auto",
            interpolation="antialiased",
        )
        shown.set_rasterized(True)
        figure.colorbar(ScalarMappable(Normalize(*limits), colours), ax=panel, label=label, aspect=8)
        # Cells are whole, so the ends of the part are ragged.
        panel.set(ylabel="$y$ (µm)", yticks=(-0.05, 0.05), xlim=(-0.95 * SHOWN, 0.95 * SHOWN))
        for middle, letter in ((-0.3, "A"), (0.0, "B"), (0.3, "C")):
            panel.text(middle, 0.08, letter, ha="center", fontsize=8)
    axes[0].set_xticklabels([])
    axes[1].set_xlabel(f"$x$ (µm); bias of A: {reader.time_values[-1]:.2g} mV")
    figure.savefig(picture)
    # Fewer colours make a small file.
    Image.open(picture).convert("RGB").quantize(160).save(picture, optimize=True)


def rendered(
    grid: pyvista.UnstructuredGrid, array: str, colours: str, limits: tuple[float, float]
) -> np.ndarray:
    """The coloured cells without any margin, as pixels."""
    low_x, high_x, low_y, high_y, *_ = grid.bounds
    height = 160
    width = int(height * (high_x - low_x) / (high_y - low_y))
    plotter = pyvista.Plotter(off_screen=True, window_size=[width, height])
    plotter.add_mesh(
        grid,
        scalars=array,
        cmap=colours,
        clim=limits,
        lighting=False,
        show_scalar_bar=False,
        show_edges=True,
        edge_opacity=0.15,
        line_width=0.5,
    )
    plotter.enable_parallel_projection()
    plotter.view_xy()
    plotter.camera.parallel_scale = 0.5 * (high_y - low_y)
    pixels = plotter.screenshot(None, return_img=True)
    plotter.close()
    return np.asarray(pixels)


def wire_in_3d(folder: Path, picture: Path) -> None:
    """Charge imbalance around the injector at the largest bias."""
    result("ryan2026/wire_3d", folder)
    reader = pyvista.get_reader(str(folder / "wire_3d" / "fields.pvd"))
    reader.set_active_time_value(reader.time_values[-1])
    grid = reader.read()[0]
    x, y, _ = grid.cell_centers().points.T
    part = grid.extract_cells((np.abs(x) < 0.5 * SHOWN) & (np.abs(y) < WIDTH))
    part.points *= STRETCHED
    across, up = STRETCHED[1:]
    note = f"{reader.time_values[-1]:.2g} mV; width × {across:g}, thickness × {up:g}"
    solid([SolidPart(part, field_named(part, "charge_imbalance"), "viridis", "$Q^*$ (C/m³)")], note, picture)


def absorber(folder: Path, picture: Path) -> None:
    """Density of quasiparticles in the wire and of phonons in the block 25 ns after the deposit, in 3-D."""
    result("devices/absorber_3d", folder)
    reader = pyvista.get_reader(str(folder / "absorber_3d" / "fields.pvd"))
    times = np.asarray(reader.time_values)
    at = float(times[np.argmin(np.abs(np.log(np.maximum(times, 1e-9) / 25.0)))])
    reader.set_active_time_value(at)
    grid = reader.read()[0]
    wire = grid.cell_centers().points[:, 2] > 0.0
    block, upper = grid.extract_cells(~wire), grid.extract_cells(wire)
    # A wire of 0.1 µm cannot be seen beside a block of 40 µm.
    upper.points[:, 2] = 3.0 + 20.0 * upper.points[:, 2]
    phonons = field_named(block, "energy_ph_cell")
    block.cell_data[phonons] *= 1e3
    parts = [
        SolidPart(block, phonons, "magma", "phonons in the block (mJ/m³)"),
        SolidPart(upper, field_named(upper, "n_qp_cell"), "viridis", "quasiparticles in the wire (1/µm³)"),
    ]
    solid(parts, f"{at:.3g} ns; wire lifted, thickness × 20", picture)


class SolidPart(NamedTuple):
    """Cells of a picture in 3-D: grid, name of its field, colours, label of their bar."""

    grid: pyvista.UnstructuredGrid
    array: str
    colours: str
    label: str


def field_named(grid: pyvista.UnstructuredGrid, name: str) -> str:
    """The field of ParaView, whose name ends with its unit."""
    return next(field for field in grid.cell_data if field.startswith(name))


def solid(parts: Sequence[SolidPart], note: str, picture: Path) -> None:
    """Draw a solid from above, cropped, with a scale bar along x (µm) and a colour bar for each part."""
    view = np.array([-0.4, -0.8, 0.6]) / np.linalg.norm([-0.4, -0.8, 0.6])
    right = np.cross([0.0, 0.0, 1.0], view)
    right /= np.linalg.norm(right)
    frame = np.array([right, np.cross(view, right)])
    points = np.concatenate([part.grid.points for part in parts])
    low, high = (points @ frame.T).min(axis=0), (points @ frame.T).max(axis=0)
    width, height = 1.04 * (high - low)
    pixels = (1400, round(1400 * height / width))
    plotter = pyvista.Plotter(off_screen=True, window_size=list(pixels))
    plotter.set_background("white")
    for part in parts:
        plotter.add_mesh(
            part.grid,
            scalars=part.array,
            cmap=part.colours,
            show_edges=True,
            edge_opacity=0.3,
            ambient=0.4,
            show_scalar_bar=False,
        )
    middle = 0.5 * (low + high) @ frame + (points.mean(axis=0) @ view) * view
    plotter.enable_parallel_projection()
    plotter.camera_position = [middle + 10.0 * width * view, middle, (0.0, 0.0, 1.0)]
    plotter.camera.parallel_scale = 0.5 * height
    plotter.reset_camera_clipping_range()
    image = plotter.screenshot(None, return_img=True)
    plotter.close()

    figure = Figure(figsize=(7.2, 7.2 * height / width + 1.0), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.imshow(image)
    axes.set_axis_off()
    axes.set_title(note, fontsize=9)
    length = float(np.ptp(points[:, 0]))
    bar = max(size for size in (0.5, 1.0, 5.0, 10.0, 20.0) if size <= 0.3 * length)
    step = bar * frame[:, 0] * [1.0, -1.0] * pixels[0] / width
    start = np.array([0.03 * pixels[0], 1.02 * pixels[1] + max(0.0, -step[1])])
    axes.plot(*np.transpose([start, start + step]), color="black", linewidth=2.0, solid_capstyle="butt")
    axes.annotate(
        f"{bar:g} µm along $x$", start + step, (6, 0), textcoords="offset points", va="center", fontsize=8
    )
    axes.set_ylim(max(start[1], start[1] + step[1]) + 0.03 * pixels[1], 0.0)
    for part in parts:
        values = part.grid.cell_data[part.array]
        scale = ScalarMappable(Normalize(float(values.min()), float(values.max())), part.colours)
        figure.colorbar(scale, ax=axes, label=part.label, location="bottom", aspect=40, shrink=0.8)
    figure.savefig(picture)
    fewer_colours(picture)


def sign(folder: Path, picture: Path) -> None:
    """g_sa over the injector bias in all variants of the open question, and the sign that was measured."""
    figure = Figure(figsize=(7.6, 6.6), layout="constrained", dpi=150)
    panels = figure.subplots(2, 1, sharex=True)
    titles = ("one gap for the wire", "a gap of every cell")
    for axes, variants, title, letter in zip(panels, (SIGN, OWN_GAPS), titles, "ab", strict=True):
        for number, (name, variant) in enumerate(variants.items()):
            dataset = result(f"ryan2026/{variant.case}", folder, variant.overrides, name).dataset
            part = dataset["g_sa"].squeeze().sortby("V_inj")
            bias = part["V_inj"].values / dataset.attrs["delta0_eV"]
            # Variants that coincide are rings around each other.
            ring = {"marker": "o", "markersize": 2.5 + 1.4 * (len(variants) - 1 - number)}
            style = {"linestyle": STYLES[number // 4], "fillstyle": "none", "markeredgewidth": 0.8, **ring}
            axes.plot(
                bias[bias > 0.1], 1e9 * part.values[bias > 0.1], label=variant.label, linewidth=1.0, **style
            )
        axes.axhline(0.0, color="0.5", linewidth=0.8)
        axes.axvspan(1.0, 3.0, ymin=0.93, color="tab:red", alpha=0.3, linewidth=0)
        axes.set_yscale("symlog", linthresh=50.0)
        axes.set_yticks([-1e4, -1e3, -1e2, 0.0, 1e2, 1e3])
        axes.set_ylim(-1e4, 1500.0)
        axes.text(2.0, 900.0, "measured sign", ha="center", va="center", fontsize=8)
        axes.set(ylabel="$g_\\mathrm{sa}$ (nS)")
        axes.set_title(f"$\\bf{{{letter}}}$  {title}", loc="left", fontsize=9)
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    panels[-1].set_xlabel("$eV_\\mathrm{inj}/\\Delta_0$")
    figure.savefig(picture)
    Image.open(picture).convert("RGB").quantize(64).save(picture, optimize=True)


def page(folder: Path, picture: Path) -> None:
    """The interactive page of the chip after 1 µs, in a headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    found = result("devices/qubit_chip", folder, ["output.occupations=true"], "qubit_chip_page")
    assert found.folder is not None
    options = webdriver.ChromeOptions()
    flags = "--headless=new --no-sandbox --enable-unsafe-swiftshader --use-angle=swiftshader"
    for flag in (*flags.split(), "--window-size=1500,1230"):
        options.add_argument(flag)
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise SystemExit("the picture of the page needs chromium and chromedriver")
    options.binary_location = program
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.get(found.view(show=False).resolve().as_uri())
        browser.execute_async_script(
            """const field = document.getElementById("field");
            field.selectedIndex = [...field.options].findIndex(one => one.text.includes("energy_ph_cell"));
            field.dispatchEvent(new Event("change"));
            const step = document.getElementById("step");
            step.value = 9;
            step.dispatchEvent(new Event("input"));
            setTimeout(arguments[0], 5000);"""
        )
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()
    Image.open(picture).convert("RGB").quantize(256).save(picture, optimize=True)


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    **{name: partial(curve, name) for name in CURVES},
    **{name: partial(field, name) for name in FIELDS},
    "front": front,
    "film": film,
    "absorber_3d": absorber,
    "wire_3d": wire_in_3d,
    "sign": sign,
    "view": page,
}
"""Picture → what draws it from a folder of results."""
CASE_OF = {
    **{name: case for name, (case, _) in CURVES.items()},
    **{name: case for name, (case, *_) in FIELDS.items()},
    "film": "ryan2026/wire_film",
    "absorber_3d": "devices/absorber_3d",
    "wire_3d": "ryan2026/wire_3d",
    "sign": "ryan2026/sign",
}
"""Picture → case that it shows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {', '.join(PICTURES)}")
    parser.add_argument("--results", type=Path, default=ROOT / "out", metavar="DIR")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PICTURES):
        parser.error(f"no pictures {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    STATIC.mkdir(exist_ok=True)
    for name in arguments.names or PICTURES:
        PICTURES[name](arguments.results, STATIC / f"{name}.png")


if __name__ == "__main__":
    main()
