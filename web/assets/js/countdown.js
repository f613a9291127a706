// Keeps "so long left" true while the page is open.
const EVERY_MS = 15_000;

function tick() {
  const words = JSON.parse(document.getElementById("left-words").textContent);
  for (const one of document.querySelectorAll("[data-until]")) {
    const whole = Math.max(Math.ceil((Date.parse(one.dataset.until) - Date.now()) / 60_000), 0);
    const parts = { days: Math.floor(whole / 1440), hours: Math.floor(whole / 60) % 24, minutes: whole % 60 };
    const kind = ["days", "hours", "minutes"].find((name) => parts[name]) ?? "over";
    one.textContent = words[kind].replace(/\{(\w+)\}/g, (_, name) => parts[name]);
    one.classList.toggle("is-near", whole < 240);
  }
}

setInterval(tick, EVERY_MS);
document.addEventListener("part-changed", tick);
tick();
