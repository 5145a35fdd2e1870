# SPDX-License-Identifier: Apache-2.0
"""A camera that pushes: ``python pusher.py VIDEO URL`` sends a video by RTMP, once, faster than it was taken.

It is a process of its own, as libav's listener and its client would wait for one another in one.
"""

from __future__ import annotations

import sys
import time

import av
from av.error import FFmpegError

_TRIES = 100


def main(video: str, url: str) -> int:
    """Push a video; return 1 if nobody takes it."""
    for _ in range(_TRIES):
        try:
            with av.open(video) as source, av.open(url, "w", format="flv") as out:
                stream = source.streams.video[0]
                copy = out.add_stream_from_template(stream, opaque=True)
                for packet in source.demux(stream):
                    if packet.size:
                        packet.stream = copy
                        out.mux(packet)
                        time.sleep(0.005)
            return 0
        except ConnectionRefusedError:
            time.sleep(0.05)  # nobody listens yet
        except (FFmpegError, OSError):
            return 1
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
