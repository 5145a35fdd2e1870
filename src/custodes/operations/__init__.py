# SPDX-License-Identifier: Apache-2.0
"""The corridor between the rooms: one function per use case."""
