# SPDX-License-Identifier: Apache-2.0
"""``make bench``: every figure that Custodes claims, measured beside its peer in one run, as a ratio if it can be."""
