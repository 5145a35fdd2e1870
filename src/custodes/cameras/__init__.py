# SPDX-License-Identifier: Apache-2.0
"""Home cameras: video that is recorded, watched and shared by those whose door it is.

The process that reads a camera (:mod:`~custodes.cameras.watcher`) takes whatever a network sends, so it has no
database and no keys; what it imports of this room must need neither.
"""
