// The week as a grid: press and drag, tap twice, or arrow keys. The server's panel does the rest.
const told = JSON.parse(document.getElementById("booking-data").textContent);
let anchor, head, dragging, touched, pause;
const PAUSE_MS = 250; // how long the arrows rest before the price of what they chose is asked for

const grid = () => document.querySelector("#week .grid");
const cells = () => [...grid().querySelectorAll("td[data-start]")];
const cellOf = (target) => target.closest?.("#week td[data-start]");

/** Free cells of one day from `cell` on, without a hole. */
function chain(cell, direction) {
  const found = [cell];
  const ends = direction > 0 ? "end" : "start";
  const begins = direction > 0 ? "start" : "end";
  for (;;) {
    const last = found.at(-1);
    const next = cells().find((one) => one.dataset.day === cell.dataset.day && one.dataset[begins] === last.dataset[ends]);
    if (!next) return found;
    found.push(next);
  }
}

/** The cells from `from` to `to`, or as far as they are free. */
function stretch(from, to) {
  const forward = Date.parse(to.dataset.start) >= Date.parse(from.dataset.start);
  const way = chain(from, forward ? 1 : -1);
  const end = way.findIndex((cell) => forward ? cell.dataset.start >= to.dataset.start : cell.dataset.start <= to.dataset.start);
  const found = way.slice(0, end < 0 ? way.length : end + 1);
  return forward ? found : found.reverse();
}

/** At least the shortest booking, to the end of the free time or before it. */
function widened(found) {
  const shortest = Number(grid().dataset.min) * 60_000;
  const after = chain(found.at(-1), 1).slice(1);
  const before = chain(found[0], -1).slice(1);
  const length = () => Date.parse(found.at(-1).dataset.end) - Date.parse(found[0].dataset.start);
  while (length() < shortest && (after.length || before.length)) {
    if (after.length) found.push(after.shift());
    else found.unshift(before.shift());
  }
  return found;
}

function paint(found) {
  for (const cell of cells()) {
    cell.classList.remove("chosen", "first", "last");
    cell.setAttribute("aria-selected", "false");
  }
  for (const cell of found) {
    cell.classList.add("chosen");
    cell.setAttribute("aria-selected", "true");
  }
  found[0]?.classList.add("first");
  found.at(-1)?.classList.add("last");
}

const clockOf = (cell) => cell.querySelector("a").firstChild.textContent.trim();

/** Shows and says what is chosen, at least the shortest booking; the price comes with `ask`. */
function mark(found) {
  found = widened(found);
  paint(found);
  const hours = (Date.parse(found.at(-1).dataset.end) - Date.parse(found[0].dataset.start)) / 3_600_000;
  const day = grid().querySelector(`th[data-day="${found[0].dataset.day}"]`).dataset.said;
  say(told.chosen.replace("{from}", `${day} ${clockOf(found[0])}`).replace("{to}", closing(found.at(-1))).replace("{hours}", hours));
  return found;
}

function choose(found) {
  found = mark(found);
  const values = { day: dayOf(found[0]), start: found[0].dataset.start, end: found.at(-1).dataset.end };
  const quantity = document.getElementById("p-quantity")?.value;
  if (quantity) values.quantity = quantity;
  ask(`?${new URLSearchParams(values)}`);
}

/** The panel for what is chosen, or for nothing. */
function ask(query) {
  clearTimeout(pause);
  window.htmx.ajax("GET", told.panel + query, { target: "#panel", swap: "outerHTML" });
}

/** The wall clock at which `cell` ends: its own start plus its length. */
function closing(cell) {
  const [hour, minute] = clockOf(cell).split(":").map(Number);
  const end = hour * 60 + minute + Number(grid().dataset.step);
  return `${String(Math.floor(end / 60)).padStart(2, "0")}:${String(end % 60).padStart(2, "0")}`;
}

function dayOf(cell) {
  return new URL(cell.querySelector("a").href).searchParams.get("day");
}

function clear() {
  anchor = head = undefined;
  paint([]);
  say(told.none);
  ask("");
}

function say(words) {
  document.getElementById("chosen-words").textContent = words;
}

document.addEventListener("pointerdown", (event) => {
  const cell = cellOf(event.target);
  if (!cell || event.button) return;
  touched = event.pointerType !== "mouse";
  if (touched) return;
  event.preventDefault();
  anchor = head = cell;
  dragging = true;
  focusOn(cell);
  paint([cell]);
});
document.addEventListener("pointerover", (event) => {
  const cell = dragging && cellOf(event.target);
  if (!cell || cell.dataset.day !== anchor.dataset.day) return;
  head = cell;
  paint(stretch(anchor, head));
});
document.addEventListener("pointerup", () => {
  if (!dragging) return;
  dragging = false;
  choose(stretch(anchor, head));
  anchor = undefined;
});
document.addEventListener("click", (event) => {
  const cell = cellOf(event.target);
  const days = event.target.closest?.("[data-days]");
  if (days) grid().dataset.shown = days.dataset.days;
  if (!cell || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (!touched) return;
  const second = anchor && anchor.dataset.day === cell.dataset.day && anchor !== cell;
  choose(second ? stretch(anchor, cell) : [cell]);
  anchor = second ? undefined : cell;
});
document.addEventListener("keydown", (event) => {
  const cell = cellOf(event.target);
  if (!cell) return;
  const moves = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  if (event.key === "Escape") clear();
  else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(head && anchor ? stretch(anchor, head) : [cell]);
    anchor = head = undefined;
  } else if (moves[event.key]) {
    event.preventDefault();
    const next = neighbour(cell, ...moves[event.key]);
    if (!next) return say(told.blocked);
    if (event.shiftKey && next.dataset.day === cell.dataset.day) {
      anchor ??= cell;
      head = next;
      const found = mark(stretch(anchor, head));
      clearTimeout(pause);
      pause = setTimeout(choose, PAUSE_MS, found);
    } else anchor = head = undefined;
    focusOn(next);
  }
});

/** The next free cell in that direction; sideways the one nearest in time of day. */
function neighbour(cell, days, steps) {
  const all = cells();
  if (steps) {
    const same = all.filter((one) => one.dataset.day === cell.dataset.day);
    return same[same.indexOf(cell) + steps];
  }
  const row = cell.parentElement.rowIndex;
  for (let day = Number(cell.dataset.day) + days; day >= 0 && day < 7; day += days) {
    const there = all.filter((one) => Number(one.dataset.day) === day);
    if (there.length) return there.reduce((best, one) => distance(one, row) < distance(best, row) ? one : best);
  }
}

const distance = (cell, row) => Math.abs(cell.parentElement.rowIndex - row);

/** One tab stop: the cell that has the focus, or the first free one. */
function focusOn(cell) {
  for (const link of grid().querySelectorAll("td a")) link.tabIndex = -1;
  cell.querySelector("a").tabIndex = 0;
  cell.querySelector("a").focus({ preventScroll: false });
}

function settle() {
  const panel = document.getElementById("panel");
  const { start, end } = panel?.dataset ?? {};
  const all = cells();
  paint(start && end ? all.filter((cell) => cell.dataset.start >= start && cell.dataset.end <= end) : []);
  const stop = all.find((cell) => cell.querySelector("a").tabIndex === 0) ?? all[0];
  if (stop) stop.querySelector("a").tabIndex = 0;
}

document.addEventListener("slots", () => {
  if (!dragging) document.getElementById("week").dispatchEvent(new CustomEvent("slots-changed"));
});
document.addEventListener("part-changed", settle);
settle();
