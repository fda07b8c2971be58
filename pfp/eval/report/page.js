// Sorting for those who want it; without this script the table is sorted by its first metric.
for (const table of document.querySelectorAll("table.results")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.dataset.direction) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const head = heads[column];
  const now = head.getAttribute("aria-sort");
  const best = head.dataset.direction;
  const worst = best === "descending" ? "ascending" : "descending";
  const order = now === best ? worst : best;
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const sign = order === "descending" ? -1 : 1;
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => row.dataset.method !== undefined);
    rows.sort((a, b) => {
      const x = a.cells[column].dataset.value;
      const y = b.cells[column].dataset.value;
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (Number(x) - Number(y));
    });
    body.append(...rows);
  }
}
