for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, i) => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim();
  const compare = (a, b, numeric) => {
    if (a === b) return 0;
    if (a === "") return 2;
    if (b === "") return -2;
    return (numeric ? a - b : a.localeCompare(b)) < 0 ? -1 : 1;
  };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const numeric = head.classList.contains("n");
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => {
        const order = compare(key(a, i), key(b, i), numeric);
        return down && Math.abs(order) === 1 ? -order : order;
      });
      body.append(...rows);
    });
  });
}
