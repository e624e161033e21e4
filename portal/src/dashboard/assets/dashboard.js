// Follows the coordinator: replaces what has changed. Without it the page is asked for again by itself.
"use strict";

const live = document.getElementById("live");
const link = document.getElementById("link");
if (live && link) {
  const say = (text) => { if (link.textContent !== text) link.textContent = text; };
  const source = new EventSource(live.dataset.events);
  source.addEventListener("page", (event) => {
    // What a reader has opened, scrolled to or stands on stays so.
    const open = [...live.querySelectorAll("details[open]")].map((one) => one.id);
    const scrolled = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const stops = "a, summary, .scroll";
    const at = [...live.querySelectorAll(stops)].indexOf(document.activeElement);
    live.innerHTML = event.data;
    for (const id of open) { const one = document.getElementById(id); if (one) one.open = true; }
    live.querySelectorAll(".scroll").forEach((one, place) => { one.scrollLeft = scrolled[place] ?? 0; });
    if (at >= 0) live.querySelectorAll(stops)[at]?.focus({ preventScroll: true });
    say(link.dataset.live);
  });
  source.addEventListener("over", () => { source.close(); location.reload(); });
  source.addEventListener("error", () => say(link.dataset.lost));
}
