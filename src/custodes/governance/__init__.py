# SPDX-License-Identifier: Apache-2.0
"""Who may do what: access keys and the principals behind them, and requests that came before."""

from __future__ import annotations

from custodes.governance.keys import Keys
from custodes.governance.model import AccessKey, Principal
from custodes.governance.replay import Replays

__all__ = ["AccessKey", "Keys", "Principal", "Replays"]
