"""A second problem: proves that nothing outside `ml/flights` knows about flights."""
