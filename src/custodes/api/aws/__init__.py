# SPDX-License-Identifier: Apache-2.0
"""Amazon Rekognition's wire: JSON 1.1 over HTTP, signed with Signature Version 4.

``sigv4`` tells who asks, ``protocol`` what is asked (driven by botocore's own service model and ``checker``),
``errors`` how a refusal reads. Rekognition's words live in this package alone, and only it imports botocore.
"""
