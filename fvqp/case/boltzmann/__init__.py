"""Cases of the Boltzmann model: quasiparticles and phonons exchanging energy."""
