"""Cases of weak links: normal metals between superconductors of different phases, in equilibrium."""
