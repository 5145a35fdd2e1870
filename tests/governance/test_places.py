# SPDX-License-Identifier: Apache-2.0
"""Where an organisation is decides which rules bind it: what is no place is refused."""

from __future__ import annotations

import pytest

from custodes.errors import Invalid
from custodes.governance import OrgClass
from custodes.governance.places import check_place


@pytest.mark.parametrize("code", ["US-WA", "US-DC", "DE", "DE-BY", "GB", "GB-ENG", "GR", "FR-75"])
def test_places_are_taken(code: str) -> None:
    """Countries, their parts, and states of the United States."""
    assert all(check_place(code, c) == code for c in OrgClass)


@pytest.mark.parametrize(
    "code", ["", "UK", "EL", "EU", "us-wa", "US-XX", "US-", "Texas", "DE-BAYERN", "ZZ-1", "US-WA "]
)
def test_what_is_no_place_is_refused(code: str) -> None:
    """Codes that are reserved, made up, or of another form."""
    for org_class in OrgClass:
        with pytest.raises(Invalid):
            check_place(code, org_class)


def test_who_is_bound_by_a_place_states_it() -> None:
    """Police, rescuers and testers can't leave it out; police in the United States name the state."""
    assert check_place("ZZ", OrgClass.GENERAL) == check_place("ZZ", OrgClass.HOUSEHOLD) == "ZZ"
    for org_class in (OrgClass.LAW_ENFORCEMENT, OrgClass.VICTIM_RESCUE, OrgClass.TESTER):
        with pytest.raises(Invalid):
            check_place("ZZ", org_class)
    assert check_place("US", OrgClass.VICTIM_RESCUE) == "US"
    with pytest.raises(Invalid, match="state"):
        check_place("US", OrgClass.LAW_ENFORCEMENT)
