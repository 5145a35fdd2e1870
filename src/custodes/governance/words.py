# SPDX-License-Identifier: Apache-2.0
"""The words of the rules: kinds of organisations, purposes, roles, kinds of authorities, and what may be asked for.

The schema of the rules and the ledger know them by their values, which never change their meaning.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["COUNTED", "FILM", "NO_JURISDICTION", "SEARCHES", "Action", "AuthorityKind", "OrgClass", "Purpose", "Role"]

NO_JURISDICTION = "ZZ"
"""Jurisdiction of an organisation that hasn't said where it is (ISO 3166-1 keeps ZZ for its users)."""


class OrgClass(StrEnum):
    """What kind of organisation uses the service."""

    GENERAL = "general"
    HOUSEHOLD = "household"
    VICTIM_RESCUE = "victim-rescue"
    LAW_ENFORCEMENT = "law-enforcement"
    OVERSIGHT = "oversight"
    TESTER = "tester"


class Purpose(StrEnum):
    """What a use is for; an access key is bound to one."""

    PHOTO_LIBRARY = "photo-library"
    ACCESS_CONTROL = "access-control"
    IDENTITY_VERIFICATION = "identity-verification"
    HOME_SECURITY = "home-security"
    MISSING_PERSON = "missing-person"
    VICTIM_IDENTIFICATION = "victim-identification"
    WELLBEING_CHECK = "wellbeing-check"
    CRIMINAL_INVESTIGATION = "criminal-investigation"
    TESTING = "testing"
    OVERSIGHT = "oversight"


class Role(StrEnum):
    """What a person may do in an organisation."""

    USER = "user"  # uses faces
    ADMIN = "admin"  # people, keys, cases, authorities of the own organisation
    OVERSIGHT = "oversight"  # moratoria, stops, alarms
    REVIEWER = "reviewer"  # judges candidates
    OPERATOR = "operator"  # runs the installation: organisations


class AuthorityKind(StrEnum):
    """On what legal ground a use rests, beyond its purpose."""

    WARRANT = "warrant"
    COURT_ORDER = "court-order"
    CONSENT = "consent"
    EXIGENCY = "exigency"


class Action(StrEnum):
    """What is asked for. The schema groups it: Recognise, Search, Store, Read, Judge, Erase, Administer, Oversee, Ease.

    Uses of faces come first; from ``MANAGE_ORGANISATIONS`` on they are acts of those who govern.
    """

    DETECT = "Detect"
    COMPARE = "Compare"
    SEARCH_REFERENCES = "SearchReferences"
    SEARCH_SUBJECTS = "SearchSubjects"
    WATCH = "Watch"
    ENROL = "Enrol"
    IMPORT_IMAGES = "ImportImages"
    CREATE_COLLECTION = "CreateCollection"
    TAG_COLLECTION = "TagCollection"
    CREATE_SUBJECT = "CreateSubject"
    ASSOCIATE = "Associate"
    DISASSOCIATE = "Disassociate"
    LIST_COLLECTIONS = "ListCollections"
    DESCRIBE_COLLECTION = "DescribeCollection"
    LIST_REFERENCES = "ListReferences"
    LIST_SUBJECTS = "ListSubjects"
    DELETE_COLLECTION = "DeleteCollection"
    DELETE_REFERENCES = "DeleteReferences"
    DELETE_SUBJECT = "DeleteSubject"
    READ_RESULTS = "ReadResults"
    EXPORT_REPORT = "ExportReport"
    VIEW_IMAGE = "ViewImage"
    EXPORT_LEAD = "ExportLead"
    REVIEW = "Review"
    EVALUATE = "Evaluate"
    SCORE_PAIRS = "ScorePairs"
    VIEW_VIDEO = "ViewVideo"
    EXPORT_VIDEO = "ExportVideo"
    MANAGE_ORGANISATIONS = "ManageOrganisations"
    MANAGE_PEOPLE = "ManagePeople"
    MANAGE_KEYS = "ManageKeys"
    MANAGE_OWN_KEYS = "ManageOwnKeys"
    OPEN_CASE = "OpenCase"
    MANAGE_CASES = "ManageCases"
    FILE_AUTHORITY = "FileAuthority"
    FILE_CONSENT = "FileConsent"
    ATTEST_DUTY = "AttestDuty"
    DISCLOSE = "Disclose"
    MANAGE_CAMERAS = "ManageCameras"
    SHARE_VIDEO = "ShareVideo"
    RECORD_PROCESS = "RecordProcess"
    ENROL_AGENCY = "EnrolAgency"
    CERTIFY_OFFICER = "CertifyOfficer"
    REQUEST_VIDEO = "RequestVideo"
    APPROVE_VIDEO_REQUEST = "ApproveVideoRequest"
    PUBLISH_EVALUATION = "PublishEvaluation"
    WITHDRAW_EVALUATION = "WithdrawEvaluation"
    DECLARE_MORATORIUM = "DeclareMoratorium"
    STOP_USE = "StopUse"
    ENABLE_RULEBOOK = "EnableRulebook"
    ANSWER_ALARM = "AnswerAlarm"
    PROPOSE_EASING = "ProposeEasing"
    APPROVE_EASING = "ApproveEasing"


SEARCHES = frozenset({Action.SEARCH_REFERENCES, Action.SEARCH_SUBJECTS, Action.WATCH})
"""One-to-many: what is answered with candidates."""

FILM = frozenset({Action.VIEW_VIDEO, Action.EXPORT_VIDEO})
"""What is done with a camera's video."""

COUNTED = SEARCHES | {Action.COMPARE, Action.ASSOCIATE, Action.SCORE_PAIRS}
"""Whatever tells how alike faces are: what counts against the caps."""
