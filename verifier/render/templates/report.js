// The page is complete without scripts; they add filters, "open all" and "copy".
document.querySelectorAll("section.run").forEach((run) => {
  const tiles = run.querySelectorAll("button.tile");
  tiles.forEach((tile) => tile.addEventListener("click", () => {
    const on = tile.getAttribute("aria-pressed") !== "true";
    tiles.forEach((other) => other.setAttribute("aria-pressed", String(on && other === tile)));
    run.querySelectorAll("[data-verdict]").forEach((item) => {
      item.hidden = on && item.dataset.verdict !== tile.dataset.filter;
    });
  }));
  const all = run.querySelector("[data-open-all]");
  if (all) all.addEventListener("click", () => {
    const open = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", String(open));
    all.textContent = open ? "Close all" : "Open all";
    run.querySelectorAll("details.finding").forEach((item) => { item.open = open; });
  });
});
document.querySelectorAll("[data-copy]").forEach((button) => {
  if (!navigator.clipboard) { button.hidden = true; return; }
  button.addEventListener("click", () => navigator.clipboard.writeText(button.dataset.copy).then(() => {
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }));
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((item) => { item.open = true; }));
