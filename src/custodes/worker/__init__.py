# SPDX-License-Identifier: Apache-2.0
"""What the server does beside answering."""

from custodes.worker.background import Housekeeper, Importer, notify
from custodes.worker.sharing import Boards
from custodes.worker.watchers import Watchers

__all__ = ["Boards", "Housekeeper", "Importer", "Watchers", "notify"]
