# SPDX-License-Identifier: Apache-2.0
"""The web console: pages for people, made on the server; every page works without scripts where that is possible."""
