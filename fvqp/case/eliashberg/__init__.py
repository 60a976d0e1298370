"""Cases of the Eliashberg model: spectra of strong coupling."""
