"""Reads the waivers that a stack accepts by its own word."""

from infra.config_reader import Reader
from ml.gate.accepted import Acceptance, acceptances


def accept_waivers(reader: Reader) -> tuple[Acceptance, ...]:
    """The acceptances in the object key `acceptWaivers`; whatever is wrong with them lands in the reader's list."""
    found, faults = acceptances(reader.values)
    for fault in faults:
        reader.problem(fault.path, fault.got, fault.rule, fault.example)
    return found
