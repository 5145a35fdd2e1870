// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of RFC 6962, 2.1, and the verification of its proofs by RFC 9162, 2.1.3.2 and 2.1.4.2, with
// WebCrypto. Nothing here knows where hashes come from: `read(level, index)` returns the root of a complete subtree.
// Sizes are whole numbers below 2**53, so that nothing is shifted: it is divided.

export const HASH = 32;

// What doesn't hold: what was expected, and what was found.
export class Failure extends Error {
  constructor(message, expected = "", got = "") {
    super(message);
    this.expected = expected;
    this.got = got;
  }
}

// Where else it can be checked.
export const INSTEAD = "The command line does: custodes ledger verify, and custodes ledger check for a file.";

// What can't be checked in this browser.
export class Unable extends Error {}

export function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toBase64(data) {
  return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
}

// Reads standard base64 strictly: there is one text for each value.
export function fromBase64(text) {
  let data;
  try {
    data = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    throw new Failure("A text should be base64, and isn't.");
  }
  if (toBase64(data) !== text) throw new Failure("A text should be base64, and isn't.");
  return data;
}

export function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export async function sha256(...parts) {
  if (!globalThis.crypto?.subtle) throw new Unable(`This page wasn't loaded over TLS, so that the browser hashes nothing. ${INSTEAD}`);
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

export const leafHash = (data) => sha256(Uint8Array.of(0), data);
export const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

async function fold(hashes) {
  let root = hashes.at(-1);
  for (const left of hashes.slice(0, -1).reverse()) root = await nodeHash(left, root);
  return root;
}

// The largest whole number whose power of two is at most `count`.
function levelOf(count) {
  let level = 0;
  while (2 ** (level + 1) <= count) level += 1;
  return level;
}

// The root over leaves that make up one subtree of a proof, complete or at the right edge.
async function rangeHash(read, start, stop) {
  const parts = [];
  while (start < stop) {
    const level = levelOf(stop - start);
    parts.push(await read(level, Math.floor(start / 2 ** level)));
    start += 2 ** level;
  }
  return fold(parts);
}

// The largest power of two below `count`, which is at least 2.
const split = (count) => 2 ** levelOf(count - 1);

export async function inclusionProof(read, index, size) {
  let start = 0;
  let stop = size;
  const path = [];
  while (stop - start > 1) {
    const middle = start + split(stop - start);
    if (index < middle) {
      path.push(await rangeHash(read, middle, stop));
      stop = middle;
    } else {
      path.push(await rangeHash(read, start, middle));
      start = middle;
    }
  }
  return path.reverse();
}

export async function consistencyProof(read, old, size) {
  if (old === 0) return [];
  let start = 0;
  let stop = size;
  const path = [];
  while (old !== stop) {
    const middle = start + split(stop - start);
    if (old <= middle) {
      path.push(await rangeHash(read, middle, stop));
      stop = middle;
    } else {
      path.push(await rangeHash(read, start, middle));
      start = middle;
    }
  }
  if (start) path.push(await rangeHash(read, start, stop));
  return path.reverse();
}

function expect(what, expected, got) {
  if (!equal(expected, got)) throw new Failure(what, hex(expected), hex(got));
}

function checkLengths(hashes) {
  if (hashes.some((hash) => hash.length !== HASH)) throw new Failure(`A hash of the proof doesn't have ${HASH} bytes.`);
}

// Climbs a path; returns the hash at its end, or both hashes of a consistency proof.
async function climb(place, last, path, step) {
  const odd = (n) => n % 2 === 1;
  const half = (n) => Math.floor(n / 2);
  for (const sibling of path) {
    if (last === 0) throw new Failure(`The proof has too many hashes, ${path.length}.`);
    if (odd(place) || place === last) {
      await step(sibling, true);
      while (place && !odd(place)) {
        place = half(place);
        last = half(last);
      }
    } else {
      await step(sibling, false);
    }
    place = half(place);
    last = half(last);
  }
  if (last) throw new Failure(`The proof has too few hashes, ${path.length}.`);
}

// Checks that a leaf's hash is at `index` of the tree with this size and root.
export async function verifyInclusion(leaf, index, size, proof, root) {
  if (!(Number.isSafeInteger(index) && index >= 0 && index < size)) throw new Failure(`The log of ${size} entries has no entry ${index}.`);
  checkLengths([leaf, ...proof]);
  let hashed = leaf;
  await climb(index, size - 1, proof, async (sibling, left) => {
    hashed = left ? await nodeHash(sibling, hashed) : await nodeHash(hashed, sibling);
  });
  expect(`Entry ${index} is not in the log as it was signed: the hashes lead to another root.`, root, hashed);
}

// Checks that the tree of `size` leaves begins with that of `old`.
export async function verifyConsistency(old, size, proof, oldRoot, root) {
  if (!(old >= 0 && old <= size)) throw new Failure(`The log has shrunk from ${old} entries to ${size}: some were dropped.`);
  checkLengths([oldRoot, ...proof]);
  const told = `The first ${old} entries are not those of the kept checkpoint: an entry was dropped, changed or put in.`;
  if (old === 0 || old === size) {
    if (proof.length) throw new Failure("The proof should be empty.");
    expect(told, oldRoot, old === 0 ? await sha256() : root);
    return;
  }
  const path = 2 ** levelOf(old) === old ? [oldRoot, ...proof] : [...proof];
  if (!path.length) throw new Failure("The proof is empty.");
  let place = old - 1;
  let last = size - 1;
  while (place % 2 === 1) {
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  let first = path[0];
  let second = path[0];
  await climb(place, last, path.slice(1), async (sibling, left) => {
    if (left) {
      first = await nodeHash(sibling, first);
      second = await nodeHash(sibling, second);
    } else {
      second = await nodeHash(second, sibling);
    }
  });
  expect(told, oldRoot, first);
  expect("The newest entries are not those that were signed.", root, second);
}
