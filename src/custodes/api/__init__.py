# SPDX-License-Identifier: Apache-2.0
"""The wires: what other programs speak to Custodes. Nothing below this room knows that a wire exists."""
