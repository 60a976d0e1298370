"""Cases of several stages, each of which may go on from the results of those before."""
