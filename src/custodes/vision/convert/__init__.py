# SPDX-License-Identifier: Apache-2.0
"""Turn a network as its maker published it into one that ONNX Runtime runs fast, once, with the same results.

:func:`convert` applies named steps in order; a pack's manifest names them and pins the hash of what comes out.
``tfjs`` and ``faceapi`` read networks that were published for browsers; ``scripts/rebuild_models.py`` uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from custodes.errors import Invalid
from custodes.vision.convert.affine import fold_affine
from custodes.vision.convert.constants import fold_constants
from custodes.vision.convert.graph import Graph
from custodes.vision.convert.heads import join_heads
from custodes.vision.convert.prelu import split_prelus
from custodes.vision.convert.shapes import free_batch, free_size

__all__ = ["STEPS", "convert"]

STEPS: dict[str, Callable[[Graph], None]] = {
    "fold-constants": fold_constants,
    "fold-affine": fold_affine,
    "free-batch": free_batch,
    "free-size": free_size,
    "join-heads": join_heads,
    "split-prelus": split_prelus,
}


def convert(data: bytes, steps: Sequence[str]) -> bytes:
    """Rewrite an ONNX network.

    Args:
        data: the bytes of an ONNX file.
        steps: names from :data:`STEPS`, in the order in which they are applied.

    Returns:
        The bytes of an ONNX file; equal input gives equal bytes.

    Raises:
        Invalid: if the input is no ONNX network of standard operators, or a step has no such name.
    """
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise Invalid(f"A conversion step is one of {', '.join(STEPS)}; got {', '.join(unknown)}.")
    graph = Graph.parse(data)
    for step in steps:
        STEPS[step](graph)
    return graph.serialize()
