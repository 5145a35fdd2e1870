// SPDX-License-Identifier: Apache-2.0
// Before the first paint: light or dark, if somebody has chosen; otherwise the system decides.
"use strict";
(() => {
  try {
    const chosen = localStorage.getItem("custodes-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // No storage: the system decides.
  }
})();
