# SPDX-License-Identifier: Apache-2.0
"""Faces in pictures: find them, align them, describe them. No database, no network, no clock."""
