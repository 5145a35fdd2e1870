// SPDX-License-Identifier: Apache-2.0
// Moments by the viewer's own clock, and what lies between it and UTC.

const two = (n) => String(n).padStart(2, "0");

// "14:03:05"
export function clockOf(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// "2026-11-25", the day on which the viewer's clock shows a moment
export function dayOf(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

// The first moment of such a day, and of the one so many days later; days of a change of clocks have 23 or 25 hours.
export function midnightOf(day, later = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).getTime();
}

// "UTC+01:00", which holds at a moment
export function zoneOf(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  return minutes ? `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}` : "UTC";
}

// "Today 14:03:05", "Yesterday ...", "2026-11-23 ..."
export function momentOf(ms) {
  const day = dayOf(ms);
  const today = dayOf(Date.now());
  const names = { [today]: "Today", [dayOf(midnightOf(today, -1))]: "Yesterday" };
  return `${names[day] ?? day} ${clockOf(ms)}`;
}

export function show(root = document) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const ms = Date.parse(time.dateTime);
    time.textContent = time.dataset.moment === "clock" ? clockOf(ms) : momentOf(ms);
    time.title = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
  }
}

show();

// Where a form asks for a day, the server is told of whose day.
for (const field of document.querySelectorAll("input[data-zone]")) {
  field.value = -new Date().getTimezoneOffset();
}
for (const told of document.querySelectorAll("[data-zone-told]")) {
  told.textContent = `Times are those of this device: ${zoneOf(Date.now())}.`;
}
// Links to a camera's recordings lead to what is today here.
for (const link of document.querySelectorAll("a[href$='/day']")) link.href += `/${dayOf(Date.now())}`;
