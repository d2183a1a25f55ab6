"use strict";
// What the page does by itself: opens what a link or a printer asks for, sorts and filters tables, reads sliders.

function openTo(element) {
  for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
}

function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { openTo(target); target.scrollIntoView(); }
}
addEventListener("hashchange", follow);
addEventListener("click", (event) => {  // also where the link is followed a second time
  const link = event.target.closest && event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) follow();
});
follow();

addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { each.open = true; each.dataset.printed = ""; }
});
addEventListener("afterprint", () => {
  for (const each of document.querySelectorAll("details[data-printed]")) { each.open = false; delete each.dataset.printed; }
});

// The table of all trials.
for (const box of document.querySelectorAll(".trials")) {
  const body = box.querySelector("tbody"), rows = [...body.rows], said = box.querySelector("output");
  const words = rows.map((row) => [...row.cells].map((cell) => cell.textContent.toLowerCase().replace(/,/g, "")));
  box.querySelector("input").addEventListener("input", (event) => {
    const asked = event.target.value.toLowerCase().replace(/,/g, "").split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      // A number is a whole cell, or 64 would find 264; a word may be a part of one.
      const fits = asked.every((word) => words[i].some((cell) => isNaN(word) ? cell.includes(word) : cell === word));
      row.hidden = !fits;
      shown += fits;
    });
    said.textContent = `${shown} of ${rows.length} trials`;
  });
  box.querySelectorAll("th[data-sort]").forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.sort === "up";
    box.querySelectorAll("th[data-sort]").forEach((each) => { each.dataset.sort = ""; });
    head.dataset.sort = down ? "down" : "up";
    const value = (row) => {
      const text = row.cells[column].textContent, size = parseFloat(text.replace(/,/g, ""));
      return isNaN(size) ? text : size;
    };
    const missing = (one) => one === "—";
    const order = (a, b) => missing(a) - missing(b) || (typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b)));
    body.append(...rows.sort((a, b) => {
      const one = value(a), other = value(b);
      return missing(one) || missing(other) ? order(one, other) : (down ? -1 : 1) * order(one, other);
    }));
  }));
}

// The slider over targets.
for (const box of document.querySelectorAll(".any-target")) {
  const tables = JSON.parse(box.querySelector("script").textContent), targets = box.dataset.targets.split(" ");
  box.querySelector("input").addEventListener("input", (event) => {
    const at = Number(event.target.value);
    box.querySelector("output").textContent = targets[at];
    box.querySelector("tbody").replaceChildren(...tables[at].map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }));
  });
}
