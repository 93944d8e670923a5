// Tables are sorted by the buttons in their heads; `table.fixed` and rows in a `tfoot` stay.
const sizes = { k: 1e3, M: 1e6, G: 1e9 };

function numberOf(text) {
  const found = /^[≤≥+±[\s]*([-−]?[\d,]*\.?\d+(?:e[-+]?\d+)?)(?:\s([kMG])(?![\w/]))?/.exec(text);
  return found ? parseFloat(found[1].replace(/,/g, "").replace("−", "-")) * (sizes[found[2]] ?? 1) : NaN;
}

function textOf(cell) {
  return cell.dataset.value ?? cell.textContent.trim();
}

function sortable(table, column) {
  const texts = [...table.tBodies[0].rows].map(row => textOf(row.cells[column]));
  return texts.length > 1 && texts.some(text => text !== "" && text !== "–");
}

function sort(table, column, turn) {
  const rows = [...table.tBodies[0].rows].map(row => {
    const text = textOf(row.cells[column]);
    return { row, text, number: numberOf(text), blank: text === "" || text === "–" };
  });
  const numeric = rows.every(one => one.blank || !isNaN(one.number));
  const order = (a, b) => numeric ? a.number - b.number : a.text.localeCompare(b.text, undefined, { numeric: true });
  rows.sort((a, b) => a.blank || b.blank ? a.blank - b.blank : turn * order(a, b));
  table.tBodies[0].append(...rows.map(one => one.row));
}

for (const table of document.querySelectorAll("table:not(.fixed)")) {
  if (!table.tHead || !table.tBodies.length) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim() || !sortable(table, column)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(table, column, down ? -1 : 1);
    });
  });
}

// The details of a step are printed even if they are folded on the screen.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.step:not([open])")];
  opened.forEach(one => { one.open = true; });
});
addEventListener("afterprint", () => opened.forEach(one => { one.open = false; }));

// What is wider than its place says that it scrolls.
function markScrolling() {
  for (const one of document.querySelectorAll(".wide, figure")) {
    one.classList.toggle("scrolls", one.scrollWidth > one.clientWidth + 1);
  }
}
addEventListener("resize", markScrolling);
markScrolling();
