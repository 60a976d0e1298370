"""Cases of localized quasiparticles."""
