"""Cases of the Usadel model."""
