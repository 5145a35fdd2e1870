// SPDX-License-Identifier: Apache-2.0
// A published log (https://c2sp.org/tlog-tiles): its files, and the hashes of complete subtrees out of its tiles.

import { Failure, HASH, nodeHash } from "./merkle.js";

const WIDTH = 256;
const MOST = WIDTH * 65537;

function number(n, width) {
  let text = String(n % 1000).padStart(3, "0");
  for (n = Math.floor(n / 1000); n; n = Math.floor(n / 1000)) text = `x${String(n % 1000).padStart(3, "0")}/${text}`;
  return width === WIDTH ? text : `${text}.p/${width}`;
}

// Splits a bundle into exactly `count` entries, each behind its length as a big-endian uint16.
export function decodeBundle(data, count) {
  const entries = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const start = at + 2;
    at = start + (data[at] ?? 0) * 256 + (data[at + 1] ?? 0);
    if (at > data.length || start > data.length) throw new Failure(`A bundle of ${count} entries ends too early.`);
    entries.push(data.slice(start, at));
  }
  if (at !== data.length) throw new Failure(`A bundle of ${count} entries is too long.`);
  return entries;
}

export class Log {
  constructor(prefix = "/ledger/") {
    this.prefix = prefix;
    this.tiles = new Map();
  }

  async bytes(path) {
    let answer;
    try {
      answer = await fetch(this.prefix + path, { cache: "no-cache", credentials: "omit" });
    } catch {
      throw new Failure(`${path} can't be read: the server doesn't answer.`);
    }
    if (!answer.ok) throw new Failure(`${path} can't be read: the server answers ${answer.status}.`);
    const data = new Uint8Array(await answer.arrayBuffer());
    if (data.length > MOST) throw new Failure(`${path} is too long.`);
    return data;
  }

  async text(path) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await this.bytes(path));
    } catch (error) {
      throw error instanceof TypeError ? new Failure(`${path} is not UTF-8.`) : error;
    }
  }

  // Returns a reader of the roots of complete subtrees in the log of so many entries.
  reader(size) {
    return async (level, index) => {
      const tileLevel = Math.floor(level / 8);
      const width = 2 ** (level % 8);
      const first = index * width;
      const hashes = await this.tile(tileLevel, Math.floor(first / WIDTH), size);
      let row = hashes.slice(first % WIDTH, (first % WIDTH) + width);
      if (row.length !== width) throw new Failure("A tile has fewer hashes than it should have.");
      while (row.length > 1) row = await Promise.all(row.filter((_, i) => i % 2 === 0).map((left, i) => nodeHash(left, row[2 * i + 1])));
      return row[0];
    };
  }

  async tile(level, n, size) {
    const width = Math.min(WIDTH, Math.floor(size / WIDTH ** level) - n * WIDTH);
    const path = `tile/${level}/${number(n, width)}`;
    if (!this.tiles.has(path)) {
      const data = await this.bytes(path);
      if (data.length !== width * HASH) throw new Failure(`${path} has ${data.length} bytes, which is not what its name says.`);
      this.tiles.set(path, Array.from({ length: width }, (_, i) => data.slice(i * HASH, (i + 1) * HASH)));
    }
    return this.tiles.get(path);
  }

  // Returns the bytes of an entry of the log of so many entries.
  async entry(index, size) {
    const n = Math.floor(index / WIDTH);
    const width = Math.min(WIDTH, size - n * WIDTH);
    return decodeBundle(await this.bytes(`tile/entries/${number(n, width)}`), width)[index % WIDTH];
  }
}
