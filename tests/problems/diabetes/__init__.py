"""A third problem, a regression: proves that nothing outside a problem's folder knows classes or probabilities."""
