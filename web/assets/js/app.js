import "htmx.org";

// After a partial update the part that asks for attention gets the focus: a refusal, a success.
document.addEventListener("htmx:after:swap", () => {
  document.querySelector("#panel [autofocus]")?.focus({ preventScroll: false });
  document.dispatchEvent(new CustomEvent("part-changed"));
});
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
document.querySelector("main [role=alert][autofocus]")?.focus();
