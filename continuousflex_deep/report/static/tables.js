// Tables, and the sections that are mostly these.

/** A table; cells are texts or elements, all but the first `left` columns to the right. */
function table(head, rows, left = 1) {
  const aside = (i) => (i < left ? "" : "number");
  const line = (cells, tag) => element("tr", {}, ...cells.map((cell, i) => element(tag, { className: aside(i) }, cell)));
  return element("div", { className: "wide" }, element("table", {},
    element("thead", {}, line(head, "th")), element("tbody", {}, ...rows.map((row) => line(row, "td")))));
}

function showEvaluations(evaluations) {
  for (const one of evaluations)
    byId("evaluations").append(element("div", { className: "card" }, element("h3", {}, one.name),
      element("p", { className: "told" }, "Absolute errors, mean ± standard deviation."), table(one.head, one.rows, 2)));
}

function showRecords(records) {
  const card = element("div", { className: "card" });
  for (const one of records) {
    const options = Object.entries(one.options).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]);
    const seed = "seed" in one.options ? `, seed ${one.options.seed}` : "";
    card.append(element("details", {},
      element("summary", {}, element("b", {}, one.command),
        element("span", { className: "told" }, `${one.place} · version ${one.version} · ${one.finished}${seed}`)),
      table(["option", "value"], options, 2)));
  }
  byId("records").append(card);
}
