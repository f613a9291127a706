// One stream a page keeps the dots true. It closes a minute after the page is hidden, and says so when it falls silent.
const HIDDEN_MS = 60_000;
const SILENT_MS = 30_000;
const read = () => JSON.parse(document.getElementById("live-data").textContent);
let { zone, until, words } = read();
let stream, hidden, silent, opened;

function address() {
  return document.querySelector("[data-live-url]")?.dataset.liveUrl || read().url;
}

function show({ id, state, until: end }) {
  for (const badge of document.querySelectorAll(`[data-live="${CSS.escape(id)}"]`)) {
    badge.className = `badge is-${state}`;
    const text = badge.querySelector("[data-live-text]");
    const at = end && (state === "in_use" || state === "free") ? ` · ${until.replace("{at}", clock(end))}` : "";
    text.textContent = words[state] + at;
  }
}

function clock(instant) {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(new Date(instant));
}

function alive() {
  clearTimeout(silent);
  silent = setTimeout(() => {
    for (const badge of document.querySelectorAll("[data-live]")) show({ id: badge.dataset.live, state: "unknown" });
  }, SILENT_MS);
}

function open() {
  const url = address();
  if (!url || (stream && opened === url)) return;
  close();
  opened = url;
  stream = new EventSource(url);
  stream.addEventListener("open", alive);
  stream.addEventListener("still-here", alive);
  stream.addEventListener("status", (event) => {
    alive();
    show(JSON.parse(event.data));
  });
  stream.addEventListener("slots", (event) => {
    alive();
    document.dispatchEvent(new CustomEvent("slots", { detail: JSON.parse(event.data) }));
  });
}

function close() {
  clearTimeout(silent);
  stream?.close();
  stream = opened = undefined;
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(close, HIDDEN_MS);
  else open();
});
document.addEventListener("part-changed", open);
window.addEventListener("pagehide", close);
open();
