# SPDX-License-Identifier: Apache-2.0
"""From when on a household is its own people's: nobody lets themselves in by making a person, a login or a key there.

Somebody has to set a household up, which is the operator. What the operator made stays theirs to mend until an
administrator of the household can act; from then on it isn't, however few of its logins and keys are still known.
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.governance.registry import State
from custodes.governance.schema import access_keys, logins
from custodes.governance.words import OrgClass, Role

__all__ = ["is_settled"]


def is_settled(c: sa.Connection, state: State, organisation: str) -> bool:
    """Tell whether an organisation is a household that an administrator of its own has a login or a key for.

    A key that is revoked or over counts, and so does an administrator who is suspended: otherwise it would be enough to
    wait, or to suspend somebody. If nobody is an administrator any more, everybody's logins and keys count.
    """
    known = state.organisations.get(organisation)
    if known is None or known.org_class != OrgClass.HOUSEHOLD:
        return False
    people = [p for p in state.principals.values() if p.organisation == organisation]
    asked = [p.id for p in people if Role.ADMIN in p.roles] or [p.id for p in people]
    have = (sa.select(table.c.principal).where(table.c.principal.in_(asked)) for table in (logins, access_keys))
    return c.execute(sa.union_all(*have).limit(1)).first() is not None
