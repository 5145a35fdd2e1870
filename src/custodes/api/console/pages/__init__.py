# SPDX-License-Identifier: Apache-2.0
"""The pages, one module a subject; each has a ``router``, and :data:`custodes.api.console.site.ROUTERS` lists it."""
