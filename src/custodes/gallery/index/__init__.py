# SPDX-License-Identifier: Apache-2.0
"""The index: finds the references that are most like a probe, exactly and fast.

An index is a cache that is rebuilt from the store; the store is the truth. It keeps one byte an element, which is
still a biometric template, so it lives in memory only, and asks the store for the few vectors that decide.

Modules: ``protocol`` (what any index does, and what a score is), ``codes`` (vectors to bytes, with a proven
error), ``block`` (bytes in memory, and the two scans), ``probe`` (one query's candidates and the proof that no
better one was missed), ``exact`` (the default index).
"""

from custodes.gallery.index.exact import ExactIndex
from custodes.gallery.index.protocol import Fetch, Hits, VectorIndex, cosines

__all__ = ["ExactIndex", "Fetch", "Hits", "VectorIndex", "cosines"]
