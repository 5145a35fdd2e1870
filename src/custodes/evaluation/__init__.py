# SPDX-License-Identifier: Apache-2.0
"""How accurate what is deployed is, and how fair, on the data of whoever asks."""
