// Tables, and the sections that are mostly these.

/** A table; cells are texts or elements, all but the first `left` columns to the right, and `names` of them unbroken. */
function table(head, rows, left = 1, names = left) {
  const aside = (i) => (i < names ? "name" : i < left ? "" : "number");
  const line = (cells, tag) => element("tr", {}, ...cells.map((cell, i) => element(tag, { className: aside(i) }, cell)));
  return element("div", { className: "wide" }, element("table", {},
    element("thead", {}, line(head, "th")), element("tbody", {}, ...rows.map((row) => line(row, "td")))));
}

function showEvaluations(evaluations) {
  for (const one of evaluations) {
    const charts = element("div", { className: "charts high" });
    const tables = one.tables.flatMap(({ title, head, rows, left }) =>
      [element("p", { className: "told" }, title), table(head, rows, left)]);
    byId("evaluations").append(element("div", { className: "card" }, element("h3", {}, one.name), ...tables, charts));
    for (const { name, frequency, curves } of one.groups) {
      const drawn = Object.entries(curves).map(([curve, correlation]) => [curve, { frequency, correlation }]);
      drawFsc(charts, Object.fromEntries(drawn), name);
    }
  }
}

function showRecords(records) {
  const card = element("div", { className: "card" });
  for (const one of records) {
    const options = Object.entries(one.options).map(([name, value]) => [`--${name.replaceAll("_", "-")}`, value]);
    const seed = "seed" in one.options ? `, seed ${one.options.seed}` : "";
    card.append(element("details", {},
      element("summary", {}, element("b", {}, one.command),
        element("span", { className: "told" }, `${one.place} · version ${one.version} · ${one.finished}${seed}`)),
      table(["option", "value"], options, 2, 1)));
  }
  byId("records").append(card);
}
