// The publisher's timeline: drag a bar or move it with the arrows; the server says whether it fits before anything is moved.
const read = () => JSON.parse(document.getElementById("timeline-words").textContent);
const DRAG_PX = 4; // less is a click
const EDGE_PX = 8; // so near an end of its bar, the end is dragged
let grabbed, dragged, moving, late;

const timeline = () => document.getElementById("timeline");
const barOf = (target) => target.closest?.("#timeline a.slab[data-moves]:not([data-moves=''])");
const tracks = () => [...timeline().querySelectorAll(".track")];
const trackOf = (bar) => bar.closest(".track");
const time = (text) => Date.parse(text);

/** Where a bar is now: its own place, or the one it was moved to and not asked for yet. */
function stateOf(bar) {
  if (moving?.bar === bar) return moving;
  const { start, end } = bar.dataset;
  return { bar, track: trackOf(bar), home: trackOf(bar), start: time(start), end: time(end) };
}

const stepOf = (track) => Number(track.dataset.step) * 60_000;

/** Draws the bar at its new place and says it. */
function show(next) {
  if (moving && moving.bar !== next.bar) putBack();
  moving = next;
  const from = time(timeline().dataset.start);
  const length = time(timeline().dataset.end) - from;
  const box = next.bar.querySelector("svg");
  next.was ??= [box.getAttribute("x"), box.getAttribute("width"), box.getAttribute("y")];
  box.setAttribute("x", `${(100 * (next.start - from)) / length}%`);
  box.setAttribute("width", `${(100 * (next.end - next.start)) / length}%`);
  if (next.track !== trackOf(next.bar)) {
    const focused = document.activeElement === next.bar;
    next.track.append(next.bar);
    if (focused) next.bar.focus({ preventScroll: true });
  }
  box.setAttribute("y", next.track === next.home ? next.was[2] : "4");
  next.bar.classList.add("is-moving");
  say(sentence(next));
}

function sentence({ bar, track, start, end }) {
  const name = bar.querySelector("text").textContent;
  const words = { name, from: clock(start), to: clock(end), line: track.getAttribute("aria-label") };
  return read().to.replace(/\{(\w+)\}/g, (_, key) => words[key]);
}

function clock(at) {
  const shape = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(document.documentElement.lang, { ...shape, timeZone: timeline().dataset.zone }).format(at);
}

function say(words) {
  document.getElementById("timeline-said").textContent = words;
}

function putBack() {
  if (!moving) return;
  const { bar, home, was } = moving;
  const box = bar.querySelector("svg");
  if (was) ["x", "width", "y"].forEach((name, place) => box.setAttribute(name, was[place]));
  if (home !== trackOf(bar)) home.append(bar);
  bar.classList.remove("is-moving");
  moving = undefined;
}

const instant = (at) => new Date(at).toISOString().replace(/:\d\d\.\d+Z$/, "Z");

/** Asks the server for its verdict on where the bar is now; `#move` shows it. */
function ask({ bar, track, start, end }) {
  const values = { version: bar.dataset.version, resource: track.dataset.resource, start: instant(start), end: instant(end) };
  window.htmx.ajax("GET", `${bar.getAttribute("href")}&${new URLSearchParams(values)}`, { target: "#move", swap: "outerHTML" });
}

function changed({ bar, track, home, start, end }) {
  return track !== home || start !== time(bar.dataset.start) || end !== time(bar.dataset.end);
}

/** What of the bar the pointer took: one of its ends, or all of it. */
function partOf(bar, x) {
  const box = bar.querySelector(".body").getBoundingClientRect();
  const edge = Math.min(EDGE_PX, box.width / 3);
  if (x > box.right - edge || bar.dataset.moves === "end") return "end";
  return x < box.left + edge ? "start" : "all";
}

document.addEventListener("pointerdown", (event) => {
  const bar = barOf(event.target);
  dragged = false;
  if (!bar || event.button || event.pointerType === "touch") return;
  grabbed = { x: event.clientX, y: event.clientY, part: partOf(bar, event.clientX), from: { ...stateOf(bar) } };
});
document.addEventListener("dragstart", (event) => barOf(event.target) && event.preventDefault());
document.addEventListener("pointermove", (event) => {
  if (!grabbed) return;
  if (!dragged && Math.hypot(event.clientX - grabbed.x, event.clientY - grabbed.y) < DRAG_PX) return;
  dragged = true;
  const { from, part, x } = grabbed;
  const under = document.elementFromPoint(event.clientX, event.clientY)?.closest?.("#timeline td")?.querySelector(".track");
  const track = part === "all" && under ? under : from.track;
  const length = time(timeline().dataset.end) - time(timeline().dataset.start);
  const step = stepOf(track);
  const by = Math.round(((event.clientX - x) / track.getBoundingClientRect().width) * length / step) * step;
  show(moved({ ...from, was: moving?.bar === from.bar ? moving.was : from.was, track }, part, by, step));
});

/** The bar changed by so many milliseconds, never shorter than a step. */
function moved(bar, part, by, step) {
  if (part === "all") return { ...bar, start: bar.start + by, end: bar.end + by };
  if (part === "end") return { ...bar, end: Math.max(bar.end + by, bar.start + step) };
  return { ...bar, start: Math.min(bar.start + by, bar.end - step) };
}

document.addEventListener("pointerup", () => {
  if (dragged && moving) {
    if (changed(moving)) ask(moving);
    else putBack();
  }
  grabbed = undefined;
});
document.addEventListener("pointercancel", () => {
  grabbed = undefined;
  putBack();
});
document.addEventListener("click", (event) => {
  const bar = barOf(event.target);
  if (event.target.closest?.("#move [data-close]")) {
    event.preventDefault();
    leave();
  }
  if (!bar || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (!dragged) open(bar);
  dragged = false;
}, true);

/** The form for a bar that was only chosen. */
function open(bar) {
  window.htmx.ajax("GET", bar.getAttribute("href"), { target: "#move", swap: "outerHTML" });
}

/** Nothing is moved: the bar goes home, the form goes away. */
function leave() {
  const bar = moving?.bar;
  putBack();
  const card = document.getElementById("move");
  card.replaceChildren();
  card.className = "";
  card.removeAttribute("aria-labelledby");
  say(read().back);
  bar?.focus();
  if (late) refresh();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && (moving || document.querySelector("#move.card"))) {
    grabbed = undefined;
    return leave();
  }
  const bar = barOf(event.target);
  if (!bar) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    if (moving?.bar === bar && changed(moving)) ask(moving);
    else open(bar);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    event.preventDefault();
    const step = stepOf(stateOf(bar).track);
    const part = event.shiftKey || bar.dataset.moves === "end" ? "end" : "all";
    show(moved({ ...stateOf(bar) }, part, event.key === "ArrowLeft" ? -step : step, step));
    say(`${sentence(moving)} ${read().ask}`);
  } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && bar.dataset.moves === "all") {
    event.preventDefault();
    const rows = tracks();
    const track = rows[rows.indexOf(stateOf(bar).track) + (event.key === "ArrowUp" ? -1 : 1)];
    if (track) show({ ...stateOf(bar), track });
  }
});

/** Draws anew what others changed; while something is being moved it waits, and a move of an old version is told so. */
function refresh() {
  late = Boolean(moving || grabbed);
  if (!late) timeline().dispatchEvent(new CustomEvent("slots-changed"));
}

document.addEventListener("slots", refresh);
document.addEventListener("htmx:after:swap", () => {
  document.querySelector("#move [autofocus]")?.focus();
});
