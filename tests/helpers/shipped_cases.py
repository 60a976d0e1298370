"""Shipped cases, smaller: fewer bins, points and particles of the same devices and models."""

from __future__ import annotations

from pathlib import Path

CASES = Path(__file__).parents[2] / "cases"

_THREE = "sweep.V_inj=['0 V', '0.2 mV', '0.4 mV']"
_MIRRORED = "sweep.V_inj=['-0.4 mV', '0 V', '0.4 mV']"
_NEAR = "output.field_energies=[1.05]"
_SPHERE = (
    "body.shells=8",
    "quasiparticles.directions=4",
    "phonons.directions=4",
    'energies.width="0.06 Delta0"',
    "energies.growth=0.05",
    'evolution.end="10 ps"',
    "evolution.points_per_decade=2",
    "evolution.tolerance=0.05",
)
_FLIGHT = ("body.shells=20", "evolution.points_per_decade=2")

REDUCED: dict[str, tuple[str, ...]] = {
    "bespalov2016/aluminium": ("sweep.generation.points=2", "box.particles=200", "monte_carlo.accuracy=0.1"),
    "bespalov2016/bubbles": ("sweep.spin=['none', '1 s']", "monte_carlo.runs=1", "monte_carlo.end='70 s'"),
    "bespalov2016/concentration": (
        "sweep.generation.points=2",
        "box.particles=100",
        "monte_carlo.accuracy=0.1",
    ),
    "bespalov2016/film": ("mesh.shape.nx=10", "mesh.shape.Lx='100 um'"),
    "bespalov2016/low_rates": ("sweep.generation.points=2", "box.particles=200", "monte_carlo.accuracy=0.1"),
    "bespalov2016/relaxation": ("monte_carlo.runs=1", "box.particles=500", "monte_carlo.accuracy=0.1"),
    "bespalov2016/wire": ("mesh.shape.nx=20", "monte_carlo.runs=1", "monte_carlo.end='3 s'"),
    "bespalov2016/wire_transport": ("energies.number=80", "mesh.shape.nx=50"),
    "boltzphlow2026/eliashberg": ("sweep.temperature=['0.5 K', '3.0 K']", "energies.number=300"),
    "boltzphlow2026/hot_pulse_al": ('energies.width="0.1 Delta0"', "evolution.points_per_decade=2"),
    "boltzphlow2026/hot_pulse_sn": ('energies.width="0.1 Delta0"', "evolution.points_per_decade=2"),
    "boltzphlow2026/sphere_ballistic": _FLIGHT,
    "boltzphlow2026/sphere_diffusive": _FLIGHT,
    "boltzphlow2026/sphere_pulse": _SPHERE,
    "boltzphlow2026/sphere_pulse_eliashberg": _SPHERE,
    "devices/absorber_3d": (
        'energies.width="0.2 Delta0"',
        "energies.growth=0.1",
        'evolution.end="1 ns"',
        "evolution.points_per_decade=2",
    ),
    "devices/film_with_trap": ('energies.width="0.2 Delta0"', "energies.growth=0.5"),
    "devices/films_on_crystal": (
        'energies.width="0.2 Delta0"',
        "phonons.directions=2",
        "phonons.azimuths=4",
        'evolution.end="3 ns"',
        "evolution.points_per_decade=2",
    ),
    "devices/mkid": ('energies.width="0.08 Delta0"', "energies.growth=0.15", 'evolution.end="4 ns"'),
    "devices/qubit_chip": (
        'energies.width="0.2 Delta0"',
        "energies.growth=0.1",
        'evolution.end="40 ns"',
        "evolution.points_per_decade=2",
    ),
    "devices/trap_noise": (
        "stages.transport.case.mesh.shape.dx='0.2 um'",
        "stages.transport.case.sweep.V_inj=['0.19 mV', '0.3 mV']",
        "stages.transport.case.energies.number=120",
        "stages.localized.case.mesh.shape.dx='0.2 um'",
        "stages.localized.case.monte_carlo.runs=1",
        "stages.localized.case.monte_carlo.accuracy=0.2",
        "stages.noise.case.noise.frequency.points=5",
        "stages.noise.case.output.distribution=true",
    ),
    "fischer2023/microwave_drive": (
        'energies.width="0.05 Delta0"',
        "sweep.temperature=['0.2 K']",
        "sweep.strength=[1e6, 1e7]",
    ),
    "goldie2013/probe_power": ('energies.width="8 ueV"', "sweep.strength=[0.2, 2.0]"),
    "kaplan1976/lifetimes": ('energies.width="0.1 Delta0"', "sweep.temperature=['0.354 K', '0.944 K']"),
    "kozorezov2000/cascade": ('energies.width="0.2 Delta0"', "evolution.points_per_decade=2"),
    "meyer2020/distribution": ("sweep.generation=['10 1/um^3/s', '100 1/um^3/s']",),
    "meyer2020/flux_noise": (
        "noise.frequency.points=5",
        "sweep.generation=['1.8e7 1/um^3/s']",
        "output.distribution=true",
    ),
    "meyer2020/ising": ("noise.frequency.points=5", "sweep.generation=['20 1/um^3/s']"),
    "meyer2020/moments": (
        "sweep.generation={ from = '1e3 1/um^3/s', to = '1e5 1/um^3/s', points = 3 }",
        "output.distribution=true",
    ),
    "meyer2020/phase_diagram": ("sweep.volume.points=3", "sweep.generation.points=3"),
    "meyer2020/relaxation": (
        "sweep.generation='20 1/um^3/s'",
        "sweep.equation=['master', 'simplified']",
        "evolution.time.points=6",
    ),
    "nagaev1995/hot_electrons": ("mesh.shape.nx=21", "energies.number=50"),
    "nagaev1995/two_steps": ("mesh.shape.nx=21", "energies.number=50"),
    "networks/side_arm": ("energies.number=75", _MIRRORED),
    "networks/side_arm_film": ("energies.number=75", _MIRRORED),
    "proximity/normal_wire": ("mesh.shape.nx=40", "energies.number=30"),
    "proximity/sn_wire": ("mesh.shape.nx=40", "energies.number=60"),
    "proximity/weak_link": (
        "mesh.shape.nx=20",
        "energies.number=21",
        "sweep.phase.points=3",
        "sweep.temperature=['100 mK']",
    ),
    "rothwarf1967/decay": ('energies.width="0.01 Delta0"', "evolution.end='10 us'"),
    "ryan2026/bistable": ("energies.number=120", "sweep.V_inj.points=3"),
    "ryan2026/fig10": ("energies.number=90", _MIRRORED, "supercurrent.phase_gradient=[0.0, 0.24]"),
    "ryan2026/fig11": ("energies.number=120", "energies.maximum=3", _NEAR, _THREE),
    "ryan2026/fig11_elastic": ("energies.number=120", _NEAR, _THREE),
    "ryan2026/fig11_real": ("energies.number=130", "energies.maximum=4", _NEAR, _THREE),
    "ryan2026/fig12": (
        "energies.number=120",
        "energies.maximum=3",
        _MIRRORED,
        "sweep.V_det=['0.2 Delta0', '1.3 Delta0']",
    ),
    "ryan2026/fig12_real": (
        "energies.number=130",
        "energies.maximum=4",
        _MIRRORED,
        "sweep.V_det=['0 V', '1 Delta0']",
    ),
    "ryan2026/fig13": ("energies.number=90", _MIRRORED, "supercurrent.phase_gradient=[0.24]"),
    "ryan2026/fig6": (
        "energies.number=130",
        "energies.maximum=4",
        _MIRRORED,
        "sweep.V_det=['0 V', '1 Delta0']",
    ),
    "ryan2026/hot_spot": (
        "mesh.shape.nx=40",
        "energies.number=60",
        "energies.maximum=3",
        "sweep.V_inj=['0 Delta0', '1 Delta0']",
    ),
    "ryan2026/profile": ("mesh.shape.nx=40", "energies.number=90", "sweep.V_inj=['0 Delta0', '1 Delta0']"),
    "ryan2026/sign": (
        "energies.number=90",
        "energies.maximum=3",
        "sweep.V_inj.points=3",
        "sweep.V_inj.from='-1 Delta0'",
        "sweep.V_inj.to='1 Delta0'",
    ),
    "ryan2026/sign_hot_spots": ("energies.number=20", "sweep.V_inj=['-0.5 Delta0', '0.5 Delta0']"),
    "ryan2026/wire": ("mesh.shape.nx=110", "energies.number=80", _MIRRORED),
    "ryan2026/wire_3d": ("energies.number=80", _THREE),
    "ryan2026/wire_film": ("energies.number=80", _THREE),
}
