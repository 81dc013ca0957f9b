"""All checks of `recognize doctor`, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from recognizer.doctor.findings import Examination, Finding, Surroundings
from recognizer.doctor.machine import check_devices, check_readers
from recognizer.doctor.models import check_encoders, check_llms
from recognizer.doctor.packages import check_packages, check_program
from recognizer.doctor.storage import check_database, check_features

CHECKS: tuple[Callable[[Surroundings], Iterable[Finding]], ...] = (
    check_program,
    check_packages,
    check_devices,
    check_readers,
    check_encoders,
    check_llms,
    check_database,
    check_features,
)


def examine(surroundings: Surroundings) -> Examination:
    """Run all checks; none of them downloads, creates or changes anything."""
    return Examination(tuple(finding for check in CHECKS for finding in check(surroundings)))
