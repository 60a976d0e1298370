"""Cases of spin-polarized clusters of excess quasiparticles."""
