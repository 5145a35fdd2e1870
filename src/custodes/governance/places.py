# SPDX-License-Identifier: Apache-2.0
"""Where an organisation is: codes of ISO 3166-1 (countries) and, for the United States, 3166-2 (states).

A code that isn't one binds no rulebook, so that it is refused: UK and EL are reserved, not assigned; the codes are GB
and GR. Subdivisions of other countries are checked by form, since no rulebook knows them.
"""

from __future__ import annotations

import re

from custodes.errors import Invalid
from custodes.governance.request import NO_JURISDICTION, OrgClass

__all__ = ["check_place"]

_COUNTRIES = frozenset(
    re.findall(
        "..",
        "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ"
        "DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJP"
        "KEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOM"
        "PAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZ"
        "UAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW",
    )
)
_STATES = frozenset(
    re.findall(
        "..",
        "ALAKAZARCACOCTDEFLGAHIIDILINIAKSKYLAMEMDMAMIMNMSMOMTNENVNHNJNMNYNCNDOHOKORPARISCSDTNTXUTVTVAWAWVWIWYDCASGUMPPRUMVI",
    )
)
_FORM = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,3}))?")
_STATED = frozenset({OrgClass.LAW_ENFORCEMENT, OrgClass.VICTIM_RESCUE, OrgClass.TESTER})
"""Classes whose rules depend on where they are, so that they have to say it."""


def check_place(code: str, org_class: OrgClass) -> str:
    """Return the code of a place.

    Raises:
        Invalid: if it is none, or a class that has to say where it is doesn't, in the United States with the state.
    """
    found = _FORM.fullmatch(code)
    if code == NO_JURISDICTION and org_class not in _STATED:
        return code
    if found is None or found[1] not in _COUNTRIES or (found[1] == "US" and found[2] and found[2] not in _STATES):
        raise Invalid(
            f"A jurisdiction is a code of ISO 3166-2 (US-WA) or of a country (DE, GB, GR), got {code[:20]!r}."
        )
    if org_class == OrgClass.LAW_ENFORCEMENT and code == "US":
        raise Invalid("Police in the United States name their state (US-WA), or DC: its law binds them.")
    return code
