// SPDX-License-Identifier: Apache-2.0
// Kinds of video: what people call them, and which of them this browser plays.

const FAMILIES = { hvc1: "HEVC (H.265)", hev1: "HEVC (H.265)", avc1: "H.264", av01: "AV1", vp09: "VP9", mp4v: "MPEG-4" };

export function familyOf(mime) {
  const codec = /codecs="?([a-z0-9]+)/.exec(mime)?.[1] ?? "";
  return FAMILIES[codec] ?? "this kind of video";
}

// What video is fed to; iPhones have a managed one alone.
export const Source = window.MediaSource ?? window.ManagedMediaSource;

export const plays = (mime) => mime !== "" && Source !== undefined && Source.isTypeSupported(mime);
