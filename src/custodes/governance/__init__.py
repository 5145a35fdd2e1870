# SPDX-License-Identifier: Apache-2.0
"""Who may do what, for what purpose, under which rules: :meth:`Authoriser.authorise` decides."""

from __future__ import annotations

from custodes.governance.authorise import ALL, EXIGENCY_LASTS, Ask, Authoriser, Held, Permit, Refused
from custodes.governance.evaluations import EvaluationRecord, Evaluations, Verdict, counting
from custodes.governance.grounds import Grounds
from custodes.governance.keys import Keys
from custodes.governance.logins import Logins
from custodes.governance.model import (
    LOCAL,
    OPERATOR,
    AccessKey,
    Alarm,
    AlarmKind,
    Authority,
    Caller,
    Case,
    Consent,
    ConsentKind,
    Easing,
    EasingKind,
    Exigency,
    Organisation,
    Principal,
    Provenance,
    Stop,
    StopScope,
    Training,
    new_id,
)
from custodes.governance.people import People
from custodes.governance.registry import Registry, State
from custodes.governance.replay import Replays
from custodes.governance.request import (
    Act,
    Action,
    AuthorityKind,
    OrgClass,
    Purpose,
    Request,
    ResultFacts,
    ReviewFacts,
    Role,
    Use,
)
from custodes.governance.restraints import Restraints
from custodes.governance.watch import Watch

__all__ = [
    "ALL",
    "EXIGENCY_LASTS",
    "LOCAL",
    "OPERATOR",
    "AccessKey",
    "Act",
    "Action",
    "Alarm",
    "AlarmKind",
    "Ask",
    "Authoriser",
    "Authority",
    "AuthorityKind",
    "Caller",
    "Case",
    "Consent",
    "ConsentKind",
    "Easing",
    "EasingKind",
    "EvaluationRecord",
    "Evaluations",
    "Exigency",
    "Grounds",
    "Held",
    "Keys",
    "Logins",
    "OrgClass",
    "Organisation",
    "People",
    "Permit",
    "Principal",
    "Provenance",
    "Purpose",
    "Refused",
    "Registry",
    "Replays",
    "Request",
    "Restraints",
    "ResultFacts",
    "ReviewFacts",
    "Role",
    "State",
    "Stop",
    "StopScope",
    "Training",
    "Use",
    "Verdict",
    "Watch",
    "counting",
    "new_id",
]
