"""Processes that act for a time: strengths, what they bring, protocol, messages."""

from __future__ import annotations

import numpy as np
import pytest
from states import COUPLING, GAPS, GRADED, random_state

from fvqp.collisions import Gaussian, PhononInjection, QuasiparticleInjection, TimedProcess
from fvqp.collisions.timed import PARTS
from fvqp.energy import bcs_weights
from fvqp.errors import CaseError

SOURCE = QuasiparticleInjection(GRADED, Gaussian(2.5, 0.2), power=0.3)


def strengths(process: TimedProcess, times: list[float]) -> list[float]:
    """Power at times over that of the process."""
    f, n = np.zeros((len(GAPS), GRADED.n)), np.zeros((len(GAPS), GRADED.n_phonon))
    found = []
    for time in times:
        process.switch(time)
        power = process.at(bcs_weights(GRADED, GAPS), f, n).energy_flow()
        found.append(float((power.quasiparticles + power.phonons)[0]) / 0.3)
    return found


def test_it_acts_between_start_and_end():
    process = TimedProcess(SOURCE, start=2.0, duration=3.0)
    assert np.array_equal(process.times, [2.0, 5.0])
    assert strengths(process, [0.0, 1.99, 2.01, 4.99, 5.01]) == pytest.approx([0, 0, 1, 1, 0])
    assert strengths(TimedProcess(SOURCE, start=2.0), [1.0, 3.0, 1e9]) == pytest.approx([0, 1, 1])
    assert process.switch(3.0) and not process.switch(4.0) and process.switch(6.0)


def test_means_of_a_profile_add_up_to_its_integral():
    process = TimedProcess(SOURCE, start=1.0, duration=4.0, profile=lambda t: np.exp(-t))
    assert len(process.strengths) == PARTS and np.all(np.diff(process.strengths) < 0.0)
    np.testing.assert_allclose(np.diff(process.times) @ process.strengths, 1.0 - np.exp(-4.0), rtol=1e-12)
    constant = TimedProcess(SOURCE, duration=4.0, profile=lambda t: 2.0)
    np.testing.assert_allclose(constant.strengths, 2.0)


@pytest.mark.parametrize(
    "source", [SOURCE, PhononInjection(GRADED, COUPLING, Gaussian(2.5, 0.2), power=0.3)], ids=["f", "n"]
)
def test_all_of_a_process_is_scaled(source):
    bin_weights, (f, n) = bcs_weights(GRADED, GAPS), random_state(GRADED)
    process = TimedProcess(source, duration=1.0, profile=lambda t: 0.25)
    process.switch(0.5)
    found, whole = process.at(bin_weights, f, n), source.at(bin_weights, f, n)
    step = np.cos(f), np.sin(n)
    for ask in (
        lambda one: one.rates,
        lambda one: one.gain_loss().rates(f, n),
        lambda one: one.balance().rates(f, n),
        lambda one: one.jvp(*step),
        lambda one: one.jacobian(),
        lambda one: one.diagonal(),
        lambda one: one.energy_flow(),
        lambda one: one.number_flow(),
    ):
        for part, all_of_it in zip(ask(found), ask(whole), strict=True):
            np.testing.assert_allclose(part, 0.25 * all_of_it, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": -1.0}, "start: must be finite and not negative, found -1"),
        ({"start": np.nan}, "start: must be finite"),
        ({"duration": 0.0}, "duration: must be positive, found 0"),
        ({"profile": np.exp}, "profile in time: needs a duration"),
        ({"duration": 1.0, "profile": lambda t: -t}, "profile in time: must be finite and not negative"),
        ({"duration": 1.0, "profile": lambda t: t / 0.0}, "profile in time: must be finite and not negative"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_other_times_are_refused(given, message):
    with pytest.raises(CaseError, match=message):
        TimedProcess(SOURCE, **given)
