// SPDX-License-Identifier: Apache-2.0
// Before the first paint: whether this browser shows pictures of cases in grey, or all of them blurred.
"use strict";
(() => {
  try {
    for (const name of ["grey", "blur"]) {
      const chosen = localStorage.getItem(`custodes-${name}`);
      if (chosen === "on" || chosen === "off") document.documentElement.dataset[name] = chosen;
    }
  } catch {
    // No storage: the page's own defaults hold.
  }
})();
