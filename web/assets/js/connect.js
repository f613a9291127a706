// Copies what is to be pasted, and keeps a reload from making another meter or another secret.
const shown = document.querySelector("[data-page]")?.dataset;
if (shown && (location.pathname !== shown.page || "once" in shown)) history.replaceState(null, "", shown.page);

// Browsers give the clipboard to encrypted pages alone; elsewhere what is selected is copied in the old way.
async function copied(target) {
  try {
    await navigator.clipboard.writeText(target.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(target);
    return document.execCommand("copy");
  }
}

function show() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const words = button.querySelector("span");
  const before = words.textContent;
  if (before === button.dataset.copied || !(await copied(document.getElementById(button.dataset.copy)))) return;
  words.textContent = button.dataset.copied;
  setTimeout(() => { words.textContent = before; }, 2000);
});
document.addEventListener("part-changed", show);
show();
