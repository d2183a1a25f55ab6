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

addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { each.open = true; each.dataset.printed = ""; }
});
addEventListener("afterprint", () => {
  for (const each of document.querySelectorAll("details[data-printed]")) { each.open = false; delete each.dataset.printed; }
});

// Of several workloads one is shown at a time, on paper all. What was not measured on it shows all that it has.
const workloads = [...new Set([...document.querySelectorAll("[data-workload]")].map((each) => each.dataset.workload))];

for (const table of document.querySelectorAll("table.numbers")) {
  const column = [...table.querySelectorAll("th")].findIndex((head) => head.textContent === "workload");
  if (column < 0 || table.closest(".trials")) continue;
  for (const row of table.tBodies[0].rows) {
    const workload = row.cells[column].textContent;
    if (workloads.includes(workload)) row.dataset.workload = workload;
  }
  table.tBodies[0].classList.add("each");
}

function showOnly(workload) {
  for (const group of document.querySelectorAll(".each")) {
    const parts = [...group.children].filter((part) => part.dataset.workload);
    const measured = parts.some((part) => part.dataset.workload === workload);
    for (const part of parts) part.classList.toggle("of-others", measured && part.dataset.workload !== workload);
  }
  for (const each of document.querySelectorAll("nav button")) {
    each.setAttribute("aria-pressed", each.textContent === workload);
  }
}

if (workloads.length > 1) {
  const choice = document.createElement("div");
  choice.append("Workload:", ...workloads.map((workload) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: workload });
    button.addEventListener("click", () => showOnly(workload));
    return button;
  }));
  document.querySelector("nav").append(choice);
  showOnly(workloads[0]);
}
document.documentElement.style.scrollPaddingTop = `${document.querySelector("nav").offsetHeight + 8}px`;

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

follow();  // last: what stands above the target has its height by now
