// The landscape: particles along any two columns, and what one selects of them.

const SCATTER = WEBGL ? "scattergl" : "scatter";
const ALONE = "#4477aa", BEHIND_GROUPS = "#a9b4be";
const PATHS = ["#cc3311", "#111111", "#009988", "#ee7733", "#0077bb", "#ee3377"];
// where one points by a finger, it moves the picture, as one expects of it; tools select
const DRAG = window.matchMedia("(pointer: coarse)").matches ? "pan" : "lasso";

const BOX = ["box-x0", "box-x1", "box-y0", "box-y1"];

/** Particles as columns; see report/landscape.py for what is complete, kept and drawn. */
class Particles {
  static async unpack(content) {
    const made = new Particles();
    made.content = content;
    made.ids = await unpackArray(content.ids);
    made.outlier = await unpackArray(content.outlier);
    made.drawn = content.drawn ? await unpackArray(content.drawn) : Uint32Array.from(made.ids, (_, i) => i);
    made.columns = new Map();
    for (const column of content.columns)
      made.columns.set(column.name, { ...column, values: await unpackArray(column.values) });
    made.place = new Map(); // of kept rows among those drawn
    made.drawn.forEach((row, i) => made.place.set(row, i));
    return made;
  }

  /** A column's value for a kept row; undefined where it is known of drawn ones only, and this is none. */
  value(name, row) {
    const column = this.columns.get(name);
    return column.complete ? column.values[row] : column.values[this.place.get(row)];
  }

  /** A column for all rows drawn. */
  ofDrawn(name) {
    const column = this.columns.get(name);
    return column.complete && this.content.drawn ? Float32Array.from(this.drawn, (row) => column.values[row]) : column.values;
  }

  /** Whether both columns are known of every particle kept. */
  complete(...names) {
    return names.every((name) => this.columns.get(name).complete);
  }

  amplitudes(row) {
    return this.content.modes.map((mode) => this.value(`q${mode}`, row));
  }
}

class Landscape {
  /** onPoint(row), onSelect(selection or null). */
  constructor(particles, paths, onPoint, onSelect) {
    Object.assign(this, { particles, paths, onPoint, onSelect, groups: [], selection: null, marked: null, symbolOf: null });
    this.plot = byId("landscape");
    this.fillControls();
  }

  fillControls() {
    const columns = [...this.particles.columns.values()];
    const choice = (column) => element("option", { value: column.name }, column.label);
    for (const [id, at] of [["x-axis", 0], ["y-axis", 1]]) {
      byId(id).append(...columns.map(choice));
      byId(id).selectedIndex = Math.min(at, columns.length - 1);
      byId(id).addEventListener("change", () => this.draw(true));
    }
    byId("colour").append(element("option", { value: "" }, "one colour"), ...columns.map(choice));
    const { outliers } = this.particles.content;
    byId("outliers-label").hidden = outliers === 0;
    byId("outliers-told").textContent = `show ${counted(outliers)} outliers`;
    byId("show-density").checked = this.particles.content.total > this.particles.content.drawn_count;
    for (const id of ["colour", "show-points", "show-density"]) byId(id).addEventListener("change", () => this.draw(false));
    byId("select-box").addEventListener("click", () => this.selectBox());
    byId("box-fields").addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.matches("input")) this.selectBox(); });
    byId("show-outliers").addEventListener("change", () => this.draw(true));
  }

  get names() {
    return [byId("x-axis").value, byId("y-axis").value];
  }

  label(name) {
    return this.particles.columns.get(name).label;
  }

  /** Whether a kept row is shown and can be selected. */
  allowed(row) {
    return byId("show-outliers").checked || !this.particles.outlier[row];
  }

  /** Draw again; where places change, what was selected no longer is. */
  async draw(moved) {
    const first = !this.layout;
    if (moved || first) {
      this.layout = this.newLayout();
      this.choose(null);
      this.names.forEach((name, i) => { byId(["box-x", "box-y"][i]).textContent = name; });
      for (const id of BOX) byId(id).value = "";
    }
    this.rows = []; // by trace, the kept rows that its points are
    const traces = [...this.densityTraces(), ...this.pointTraces(), ...this.groupTraces(), ...this.pathTraces()];
    await Plotly.react(this.plot, traces, this.layout, {
      ...OFFLINE, displayModeBar: true, scrollZoom: true, modeBarButtonsToRemove: ["autoScale2d"],
    });
    if (first) this.listen();
    this.placeMark();
    this.tell();
  }

  newLayout() {
    const [x, y] = this.names;
    return layoutOf(axis(this.label(x)), axis(this.label(y)), {
      margin: { l: 62, r: 12, t: 34, b: 54 }, dragmode: DRAG, hoverdistance: 8, selections: [],
      newselection: { line: { color: "#111", width: 1.5, dash: "solid" } },
      legend: { x: 0, y: 1.0, yanchor: "bottom", orientation: "h", font: { size: 12 },
        // what is shown, and can be selected, is chosen by the controls alone
        itemclick: false, itemdoubleclick: false },
    });
  }

  /** Rows drawn that are allowed, and their places. */
  shownPoints() {
    const [x, y] = this.names.map((name) => this.particles.ofDrawn(name));
    const at = [];
    this.particles.drawn.forEach((row, i) => { if (this.allowed(row)) at.push(i); });
    return { at, x: Float32Array.from(at, (i) => x[i]), y: Float32Array.from(at, (i) => y[i]) };
  }

  pointTraces() {
    const { at, x, y } = this.shownPoints();
    const name = byId("colour").value;
    const visible = byId("show-points").checked;
    const size = at.length > 20000 ? 3 : at.length > 3000 ? 4.5 : 7;
    const opacity = visible ? (at.length > 20000 ? 0.45 : 0.75) : 0;
    const base = { type: SCATTER, mode: "markers", hoverinfo: "none", showlegend: false, x, y };
    const kept = (i) => this.particles.drawn[i];
    if (!name) {
      this.rows.push(Uint32Array.from(at, kept));
      return [{ ...base, marker: { size, opacity, color: this.groups.some((g) => g.visible) ? BEHIND_GROUPS : ALONE } }];
    }
    const values = this.particles.ofDrawn(name);
    const { categories, label } = this.particles.columns.get(name);
    if (!categories) {
      this.rows.push(Uint32Array.from(at, kept));
      const color = Float32Array.from(at, (i) => values[i]);
      const colorbar = { title: { text: plain(label), side: "right" }, thickness: 14, outlinewidth: 0 };
      return [{ ...base, marker: { size, opacity, color, colorscale: "Viridis", showscale: visible, colorbar } }];
    }
    const traces = [];
    categories.forEach((category, number) => {
      const mine = at.map((i, place) => [i, place]).filter(([i]) => values[i] === number);
      if (!mine.length) return;
      this.rows.push(Uint32Array.from(mine, ([i]) => kept(i)));
      traces.push({
        ...base, x: Float32Array.from(mine, ([, p]) => x[p]), y: Float32Array.from(mine, ([, p]) => y[p]),
        name: plain(name === "source" ? category : `${label}: ${category}`), showlegend: true,
        marker: { size, opacity, color: LINES[(number + LINES.length - 1) % LINES.length] },
      });
    });
    return traces;
  }

  /** How many particles there are in each bin, of all kept where the columns are known of all. */
  densityTraces() {
    if (!byId("show-density").checked) return [];
    this.rows.push(null);
    const [x, y] = this.kept();
    const count = Math.max(24, Math.min(160, Math.round(Math.sqrt(x.length))));
    const range = (values) => {
      let [low, high] = [Infinity, -Infinity];
      for (let i = 0; i < values.length; i++) if (this.allowed(this.keptRow(i))) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
      return [low, (high - low || 1) / count];
    };
    const [[x0, dx], [y0, dy]] = [range(x), range(y)];
    const bins = Array.from({ length: count }, () => new Float32Array(count));
    const bin = (value, low, step) => Math.min(count - 1, Math.floor((value - low) / step));
    for (let i = 0; i < x.length; i++)
      if (this.allowed(this.keptRow(i))) bins[bin(y[i], y0, dy)][bin(x[i], x0, dx)] += 1;
    const most = Math.max(...bins.map((line) => Math.max(...line)));
    const z = bins.map((line) => Array.from(line, (n) => (n ? Math.log10(n) : null)));
    const ticks = [1, 10, 100, 1000, 1e4, 1e5, 1e6].filter((n) => n <= most);
    return [{
      type: "heatmap", z, x0: x0 + dx / 2, dx, y0: y0 + dy / 2, dy, hoverinfo: "skip", zmin: 0, zmax: Math.log10(most) || 1,
      colorscale: [[0, "#e4edf5"], [0.5, "#7da7ca"], [1, "#0b3c5d"]],
      showscale: !byId("colour").value || !byId("show-points").checked,
      colorbar: { title: { text: "particles", side: "right" }, thickness: 14, outlinewidth: 0,
        tickvals: ticks.map(Math.log10), ticktext: ticks.map(counted) },
    }];
  }

  /** Both columns for all rows kept, or where these are not known, for those drawn. */
  kept() {
    const whole = this.particles.complete(...this.names);
    return this.names.map((name) => (whole ? this.particles.columns.get(name).values : this.particles.ofDrawn(name)));
  }

  keptRow(i) {
    return this.particles.complete(...this.names) ? i : this.particles.drawn[i];
  }

  groupTraces() {
    const [x, y] = this.names.map((name) => this.particles.ofDrawn(name));
    const coloured = byId("colour").value && byId("show-points").checked;
    return this.groups.filter((group) => group.visible).map((group) => {
      const rows = group.rows.filter((row) => this.particles.place.has(row) && this.allowed(row));
      const symbol = this.symbolOf(group);
      const at = Array.from(rows, (row) => this.particles.place.get(row));
      this.rows.push(rows);
      return {
        type: SCATTER, mode: "markers", name: plain(group.name), hoverinfo: "none", showlegend: true,
        x: at.map((i) => x[i]), y: at.map((i) => y[i]),
        // rings where the points inside them have colours of their own
        marker: { size: at.length > 20000 ? 3 : coloured ? 9 : 6, opacity: 0.8, color: group.colour,
          symbol: coloured ? `${symbol}-open` : symbol },
      };
    });
  }

  pathTraces() {
    const lines = this.paths.map((path, i) => ({ path, places: this.placesOf(path), line: lineOf(i, PATHS) }));
    return lines.filter(({ places }) => places).map(({ path, places, line }) => {
      this.rows.push(null);
      return {
        type: SCATTER, mode: "lines+markers", name: plain(path.name), hoverinfo: "skip", showlegend: true,
        x: places.map((p) => p[0]), y: places.map((p) => p[1]),
        line: { ...line, width: 3 }, marker: { color: line.color, size: 7 }, unselected: { marker: { opacity: 1 } },
      };
    });
  }

  /** A path's places along the columns shown; null where it says nothing of one of them. */
  placesOf(path) {
    const { coordinates } = this.particles.content;
    const columns = this.names.map((name) => {
      if (coordinates.includes(name)) return path.points.map((p) => p[coordinates.indexOf(name)]);
      const mode = path.modes.findIndex((m) => name === `q${m}`);
      return mode < 0 ? null : path.path_amplitudes.map((q) => q[mode]);
    });
    return columns.every((column) => column) ? columns[0].map((v, i) => [v, columns[1][i]]) : null;
  }

  listen() {
    // else a page cannot be scrolled past the picture
    this.plot.addEventListener("wheel", (event) => { if (!event.ctrlKey) event.stopPropagation(); }, { capture: true });
    this.plot.on("plotly_selected", (event) => {
      if (event) this.select(this.plot.layout.selections?.length ? this.plot.layout.selections : event.selections);
    });
    this.plot.on("plotly_deselect", () => this.choose(null));
    this.plot.on("plotly_relayout", () => this.placeMark());
    this.plot.on("plotly_hover", (event) => this.showTip(event));
    this.plot.on("plotly_unhover", () => { byId("tip").hidden = true; });
    this.plot.on("plotly_click", (event) => {
      const row = this.rowOf(event.points);
      if (row !== undefined) this.onPoint(row);
    });
    new ResizeObserver(async () => {
      await Plotly.Plots.resize(this.plot);
      this.placeMark();
    }).observe(this.plot);
  }

  rowOf(points) {
    const point = points.find(({ curveNumber }) => this.rows[curveNumber]);
    return point && this.rows[point.curveNumber][point.pointNumber];
  }

  showTip(event) {
    const row = this.rowOf(event.points), tip = byId("tip");
    if (row === undefined) return;
    const lines = [...this.particles.columns.values()].map(({ name, label, categories }) => {
      const value = this.particles.value(name, row);
      return [label, categories ? categories[value] : told(value)];
    });
    tip.replaceChildren(element("b", {}, `particle ${this.particles.ids[row]}`),
      element("table", {}, ...lines.map((line) => element("tr", {}, ...line.map((text) => element("td", {}, text))))));
    tip.hidden = false;
    const [left, top] = this.pixel(this.particles.value(this.names[0], row), this.particles.value(this.names[1], row));
    const room = this.plot.clientWidth;
    tip.style.left = `${left > room / 2 ? Math.max(0, left - tip.offsetWidth - 10) : left + 30}px`;
    tip.style.top = `${Math.max(0, Math.min(top - 20, this.plot.clientHeight - tip.offsetHeight))}px`;
  }

  /** Where a place is in the panel. */
  pixel(x, y) {
    const { xaxis, yaxis } = this.plot._fullLayout;
    return [xaxis._offset + xaxis.d2p(x) + this.plot.offsetLeft, yaxis._offset + yaxis.d2p(y) + this.plot.offsetTop];
  }

  select(selections) {
    const areas = areasOf(selections);
    if (!areas.length) return;
    const inside = rowsInside(areas, ...this.kept(), (i) => this.allowed(this.keptRow(i)));
    const rows = this.particles.complete(...this.names) ? inside : inside.map((i) => this.particles.drawn[i]);
    const [x, y] = this.names;
    const box = areas.length === 1 && areas[0].box && x !== y ? areas[0].box : null;
    BOX.forEach((id, i) => { byId(id).value = box ? box[i] : ""; });
    const told = box && `${x}:${box[0]}:${box[1]},${y}:${box[2]}:${box[3]}`;
    this.choose({ rows, box: told, outliers: byId("show-outliers").checked });
  }

  /** Select by the numbers in the fields; without one, all there is to that side. */
  async selectBox() {
    const ends = this.kept().flatMap((values) => {
      let [low, high] = [Infinity, -Infinity];
      for (const value of values) [low, high] = [Math.min(low, value || 0), Math.max(high, value || 0)];
      const margin = 0.001 * (high - low || 1);
      return [low - margin, high + margin];
    });
    const [x0, x1, y0, y1] = BOX.map((id, i) => (byId(id).value === "" ? ends[i] : Number(byId(id).value)));
    const selections = [{ type: "rect", xref: "x", yref: "y", x0, x1, y0, y1, line: { color: "#111", width: 1.5, dash: "solid" } }];
    await Plotly.relayout(this.plot, { selections });
    this.select(selections);
  }

  choose(selection) {
    this.selection = selection;
    this.onSelect(selection);
  }

  /** Mark a place by a ring: what the molecular viewer shows; null for none. */
  mark(placesFor) {
    this.marked = placesFor;
    this.placeMark();
  }

  placeMark() {
    const ring = byId("here"), place = this.marked?.();
    ring.hidden = true;
    if (!place || !this.plot._fullLayout?.xaxis) return;
    const [left, top] = this.pixel(...place);
    const { xaxis, yaxis } = this.plot._fullLayout;
    const within = place.every((v, i) => {
      const [a, b] = [xaxis, yaxis][i].range;
      return v >= Math.min(a, b) && v <= Math.max(a, b);
    });
    if (!within) return;
    Object.assign(ring.style, { left: `${left}px`, top: `${top}px` });
    ring.hidden = false;
  }

  /** What the picture and selections in it cover. */
  tell() {
    const { total, kept, drawn_count: drawn } = this.particles.content;
    const whole = this.particles.complete(...this.names);
    let text = `${counted(total)} particles.`;
    if (drawn < total) {
      text += ` Drawn as points: ${counted(drawn)} of them, evenly spread.`;
      if (kept === total && whole) text += " The density is that of all particles, and selections and their ids cover all of them.";
      else if (kept === total)
        text += ` For these axes, the density, selections and their ids cover only the particles drawn: what ` +
          `${this.names.filter((n) => !this.particles.complete(n)).join(" and ")} is of the others is not in this file.`;
      else
        text += " The density, selections and their ids cover only these: the ids and coordinates of all would make this " +
          "file too large; a box of a selection still selects among all particles.";
    }
    byId("landscape-told").textContent = text;
  }
}
