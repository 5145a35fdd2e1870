# SPDX-License-Identifier: Apache-2.0
"""One neural network, ready to run: the only module that imports ONNX Runtime.

A :class:`Model` takes one array and returns its outputs as a tuple. It may be run from many threads at once; each
run uses at most ``threads`` threads, and with one thread the caller's own. Nothing spins while idle.

Scratch memory comes from ONNX Runtime's arena, which keeps it for the next run. Measured with a detector on
1920x1088 pixels, that is both the fastest and the smallest: returning the memory after each run, or doing without the
arena, leaves more behind in the C library's heap.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from custodes.domain import Float32
from custodes.errors import Invalid, Unavailable

__all__ = ["Model", "available_providers", "runtime_version"]

_FATAL_ONLY = 4
_ERRORS_ONLY = 3

_CANNOT_LOAD = (
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
)
_CANNOT_RUN = (native.EPFail, native.Fail, native.InvalidArgument, native.NotImplemented, native.RuntimeException)

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_REMEDIES = {
    "cuda": "Install custodes[cuda] in place of onnxruntime, with an NVIDIA driver and CUDA libraries.",
    "openvino": "Install custodes[openvino] in place of onnxruntime.",
}


def available_providers() -> tuple[str, ...]:
    """Return the providers that this installation of ONNX Runtime was built with."""
    built = set(ort.get_available_providers())
    return tuple(name for name, provider in _PROVIDERS.items() if provider in built)


def runtime_version() -> str:
    """Return the version of ONNX Runtime."""
    return str(ort.__version__)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # would keep a plan of memory for every size of picture that was ever seen
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _provider(provider: str, threads: int) -> list[str | tuple[str, dict[str, str]]]:
    if provider not in _PROVIDERS:
        raise Invalid(f"A provider is one of {', '.join(_PROVIDERS)}, got {provider!r}.")
    if provider not in available_providers():
        raise Unavailable(f"This installation can't run models on {provider}.", remedy=_REMEDIES.get(provider, ""))
    if provider == "cuda":
        ort.preload_dlls(directory="")
    if provider == "openvino":
        return [(_PROVIDERS[provider], {"device_type": "CPU", "num_of_threads": str(threads)})]
    return [_PROVIDERS[provider]]


class Model:
    """One network with one float32 input; safe to run from many threads.

    Args:
        source: an ONNX file, or its bytes.
        provider: ``"cpu"``, ``"cuda"`` or ``"openvino"``.
        threads: threads that one run may use, at least 1.

    Attributes:
        provider: where it runs.
        inputs: the input's name, as a tuple of one.
        outputs: names of the outputs, in the order in which :meth:`run` returns them.
        input_shape: sizes of the input's axes; None where any size is taken.
        fixed_batch: whether the first axis only takes one size.

    Raises:
        Invalid: if it is no ONNX network that can be run, or has another number of inputs than one.
        Unavailable: if the provider isn't installed or finds no device.
    """

    __slots__ = ("_session", "fixed_batch", "input_shape", "inputs", "outputs", "provider")

    def __init__(self, source: Path | bytes, *, provider: str = "cpu", threads: int = 1) -> None:
        if threads < 1:
            raise Invalid(f"A model runs on at least one thread, got {threads}.")
        providers = _provider(provider, threads)
        ort.set_default_logger_severity(_FATAL_ONLY)
        given = source if isinstance(source, bytes) else str(source)
        try:
            self._session = ort.InferenceSession(given, _options(threads), providers=providers)
        except _CANNOT_LOAD as e:
            if provider != "cpu" and isinstance(e, (native.EPFail, native.RuntimeException)):
                raise Unavailable(f"ONNX Runtime can't start {provider}.", remedy=_REMEDIES[provider]) from e
            raise Invalid(f"The file is no network that ONNX Runtime {ort.__version__} can run.") from e
        if _PROVIDERS[provider] not in self._session.get_providers():
            raise Unavailable(
                f"ONNX Runtime was built for {provider} but can't start it.", remedy=_REMEDIES.get(provider, "")
            )
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            raise Invalid(f"A model has one float32 input, got {[(i.name, i.type) for i in inputs]}.")
        self.provider: str = provider
        self.inputs: tuple[str, ...] = (inputs[0].name,)
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())
        self.input_shape: tuple[int | None, ...] = tuple(
            d if isinstance(d, int) and d > 0 else None for d in inputs[0].shape
        )
        self.fixed_batch: bool = bool(self.input_shape) and self.input_shape[0] is not None

    def run(self, x: Float32) -> tuple[Float32, ...]:
        """Run the network once.

        Args:
            x: the input, C-contiguous float32, of :attr:`input_shape`.

        Returns:
            The outputs, in the order of :attr:`outputs`; each is a fresh array.

        Raises:
            Invalid: if the network doesn't take an input of this shape or type.
            Unavailable: if it does, and the run failed nevertheless: no memory is left, or the device is gone.
        """
        try:
            return tuple(self._session.run(self.outputs, {self.inputs[0]: x}))
        except (*_CANNOT_RUN, MemoryError) as e:
            if not self._takes(x):
                raise Invalid(f"The network takes {self.input_shape} float32, got {x.shape} {x.dtype}.") from e
            raise Unavailable(
                f"The network failed on {self.provider} with an input of {x.shape}.",
                remedy="Its memory may be used up; the log holds what ONNX Runtime says.",
            ) from e

    def _takes(self, x: Float32) -> bool:
        return (
            x.dtype == np.float32
            and x.ndim == len(self.input_shape)
            and all(want in (None, have) for want, have in zip(self.input_shape, x.shape, strict=True))
        )
