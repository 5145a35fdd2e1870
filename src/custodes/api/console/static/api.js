// SPDX-License-Identifier: Apache-2.0
// Requests of scripts to the console: JSON in answers, the token against forgery, problems as errors.

export class Problem extends Error {
  constructor(status, told) {
    super(told.message || "The server doesn't answer as it should.");
    this.status = status;
    this.remedy = told.remedy || "";
    this.rules = told.rules || [];
  }
}

const token = () => document.querySelector("meta[name=csrf]")?.content ?? "";

// Sends a request; `body` is FormData, a Blob or URLSearchParams, or nothing. Returns the answer's JSON.
export async function request(path, { method = "GET", body = undefined, signal = undefined, headers = {} } = {}) {
  const told = { Accept: "application/json", ...headers };
  if (method !== "GET") told["X-CSRF-Token"] = token();
  const answer = await fetch(path, { method, body, signal, headers: told, credentials: "same-origin" });
  if (answer.status === 401) location.reload();
  const data = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Problem(answer.status, data);
  return data;
}
