"use strict";
const layers = document.getElementById("layers");
const tip = document.getElementById("tip");

// The code of a kernel is in the page once, and shown in each of its layers when that is opened.
function show(layer) {
  const place = layer.querySelector(".code");
  if (place.childElementCount) return;
  place.append(document.getElementById(layer.dataset.kernel).content.cloneNode(true));
  const listing = place.querySelector(".assembly pre");
  const multiplies = [...listing.querySelectorAll("mark")];
  const button = place.querySelector("button");
  let at = -1;
  const next = () => {
    multiplies[at]?.classList.remove("here");
    at = (at + 1) % multiplies.length;
    const mark = multiplies[at];
    mark.classList.add("here");
    listing.scrollTop += mark.getBoundingClientRect().top - listing.getBoundingClientRect().top
      - listing.clientHeight / 3;
    button.textContent = `next vrmpy (${at + 1} of ${multiplies.length})`;
  };
  if (multiplies.length) {
    button.addEventListener("click", next);
    next();
  } else {
    button.remove();
  }
}

function visit(id) {
  const layer = document.getElementById(id);
  if (!layer?.matches(".layer")) return;
  layer.open = true;
  show(layer);
  layer.querySelector("summary").focus({ preventScroll: true });
  layer.scrollIntoView({ block: "start" });
}

for (const layer of layers.querySelectorAll(".layer")) {
  layer.addEventListener("toggle", () => layer.open && show(layer));
}
// A link to the layer that the address names already would change nothing.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link) return;
  event.preventDefault();
  const id = link.getAttribute("href").slice(1);
  history.replaceState(null, "", `#${id}`);
  hide();
  visit(id);
});
addEventListener("hashchange", () => visit(location.hash.slice(1)));
visit(location.hash.slice(1));

// What belongs to one layer lights up together.
function light(target) {
  const id = target.closest?.(".layer")?.id ?? target.closest?.("a[href^='#']")?.hash.slice(1);
  for (const one of document.querySelectorAll(".lit")) one.classList.remove("lit");
  if (!id) return;
  document.getElementById(id)?.classList.add("lit");
  for (const one of document.querySelectorAll(`a[href="#${id}"]`)) one.classList.add("lit");
}

function explain(target, x, y) {
  const from = target.closest?.("[data-tip]");
  tip.hidden = !from;
  if (!from) return;
  tip.textContent = from.dataset.tip;
  const { width, height } = tip.getBoundingClientRect();
  const above = y + 16 + height > innerHeight;
  tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.max(4, above ? y - height - 12 : y + 16)}px`;
}
function hide() { tip.hidden = true; }

document.addEventListener("pointermove", (event) => {
  light(event.target);
  explain(event.target, event.clientX, event.clientY);
});
document.addEventListener("focusin", (event) => {
  light(event.target);
  if (!event.target.matches(":focus-visible")) return;
  const bar = event.target.querySelector("[data-tip]");
  const box = bar?.getBoundingClientRect();
  if (bar) explain(bar, box.left, box.bottom);
});
document.addEventListener("focusout", hide);
document.addEventListener("pointerleave", hide);
document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
document.addEventListener("scroll", hide, true);

for (const button of document.querySelectorAll(".order button")) {
  button.addEventListener("click", () => {
    const key = button.dataset.by;
    const rows = [...layers.querySelectorAll(".layer")];
    rows.sort((a, b) => (key === "time" ? b.dataset.time - a.dataset.time : a.dataset.row - b.dataset.row));
    layers.append(...rows);
    for (const one of document.querySelectorAll(".order button")) {
      one.setAttribute("aria-pressed", String(one === button));
    }
  });
}
