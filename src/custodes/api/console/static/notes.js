// SPDX-License-Identifier: Apache-2.0
// Signed notes and checkpoints (https://c2sp.org/signed-note, tlog-checkpoint), with WebCrypto's Ed25519. A text is
// hostile until it is parsed, and means nothing until its signature is verified by a key that one had before.

import { Failure, HASH, INSTEAD, Unable, equal, fromBase64, hex, sha256 } from "./merkle.js";

const MOST = 65536;
const ED25519 = 0x01;
const bytes = (text) => new TextEncoder().encode(text);

// Reads a key in its usual form: name+id+base64.
export async function parseKey(text) {
  const [name, id, ...rest] = text.trim().split("+");
  const data = rest.length ? fromBase64(rest.join("+")) : new Uint8Array();
  if (!name || /\s/u.test(name) || data.length !== 1 + HASH || data[0] !== ED25519) {
    throw new Failure("A verifier key has the form name+id+base64, and is an Ed25519 key.");
  }
  const own = (await sha256(bytes(`${name}\n`), data)).slice(0, 4);
  if (hex(own) !== id) throw new Failure("The key's id is not its own.", hex(own), id);
  return { name, id: own, public: data.slice(1), text: text.trim() };
}

// Reads a note; nothing is verified yet.
export function parseNote(raw) {
  const gap = raw.lastIndexOf("\n\n");
  const lines = raw.slice(gap + 2).split("\n");
  const form = "A signed note is text, an empty line and signature lines.";
  if (gap < 1 || raw.length > MOST || lines.pop() !== "" || !lines.length || lines.length > 100) throw new Failure(form);
  if (/[\u0000-\u0009\u000b-\u001f]/u.test(raw)) throw new Failure(form);
  const signatures = lines.map((line) => {
    const found = /^— ([^\s+]+) (\S+)$/u.exec(line);
    const data = found ? fromBase64(found[2]) : new Uint8Array();
    if (data.length < 5) throw new Failure("A signature line is a dash, a space, a name, a space and base64.");
    return { name: found[1], id: data.slice(0, 4), data: data.slice(4) };
  });
  return { text: raw.slice(0, gap + 1), signatures };
}

// Reads a note's text as a checkpoint: the log's origin, its size, its root.
export function parseCheckpoint(text) {
  const [origin, size, root, ...more] = text.split("\n");
  const form = "A checkpoint is three lines: the log's origin, its size and its root.";
  if (!origin || !/^(0|[1-9][0-9]{0,15})$/u.test(size ?? "") || !root || more.pop() !== "" || more.some((line) => !line)) {
    throw new Failure(form);
  }
  const hash = fromBase64(root);
  if (hash.length !== HASH || !Number.isSafeInteger(Number(size))) throw new Failure(form);
  return { origin, size: Number(size), root: hash };
}

async function imported(key) {
  if (!globalThis.crypto?.subtle) throw new Unable(`This page wasn't loaded over TLS, so that the browser checks no signature. ${INSTEAD}`);
  try {
    return await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unable(`This browser doesn't know Ed25519, so that it can't check the signature. ${INSTEAD}`);
    throw new Failure("The key is no Ed25519 key.");
  }
}

// Checks that all lines of a note that say they are by a key are its own, and that there is one.
export async function verifySignature(note, key) {
  const own = note.signatures.filter((line) => line.name === key.name && equal(line.id, key.id));
  if (!own.length) throw new Failure("The checkpoint is not signed by this key.", key.text, note.signatures.map((s) => `${s.name}+${hex(s.id)}`).join(", "));
  const opened = await imported(key);
  for (const line of own) {
    const holds = line.data.length === 64 && (await crypto.subtle.verify("Ed25519", opened, line.data, bytes(note.text)));
    if (!holds) throw new Failure("The signature is not the key's own: the checkpoint was changed, or somebody else made it.");
  }
  return own.length;
}
