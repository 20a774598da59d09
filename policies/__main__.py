"""Serves the pack to the engine. Never prints: the first line on stdout is the port that the engine connects to."""

from pulumi_policy import EnforcementLevel, PolicyPack

from policies import stack
from policies.pack import NAME, POLICIES

stack.listen()
PolicyPack(NAME, [*POLICIES], enforcement_level=EnforcementLevel.MANDATORY)
