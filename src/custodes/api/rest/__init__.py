# SPDX-License-Identifier: Apache-2.0
"""The native REST API: what Rekognition's can't say."""
