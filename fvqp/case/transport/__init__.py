"""Cases of the transport model: quasiparticles and phonons in space, direction and energy."""
