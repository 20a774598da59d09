"""A problem with a search space that trains in milliseconds; the environment can make one trial slow or broken."""
