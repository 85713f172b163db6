"""Games: pure rules over frozen state, standard library only."""
