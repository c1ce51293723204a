// What is selected, groups of it, and their files.

const PROGRAM = "python -m continuousflex_deep group";
const GROUPS_FORMAT = "continuousflex_deep groups 1"; // of io/groups.py

const SYMBOLS = ["circle", "diamond", "square", "cross"]; // of groups that share a colour

/** Ids as `group --ids` reads them: one a line. */
const idsText = (ids) => Array.from(ids, (id) => `${id}\n`).join("");

class Groups {
  constructor(particles, landscape, onMean) {
    Object.assign(this, { particles, landscape, selection: null, all: landscape.groups });
    landscape.symbolOf = (group) => this.symbolOf(group);
    byId("download-selection").addEventListener("click", () => this.download(this.name, this.idsOf(this.selection)));
    byId("add-group").addEventListener("click", () => this.keep());
    byId("download-groups").addEventListener("click", () => saveText("groups.json", this.json(), "application/json"));
    byId("group-name").addEventListener("input", () => this.tellCommands());
    this.command = `${PROGRAM} --landscape ${particles.content.folder}`;
    byId("show-mean").hidden = !onMean;
    byId("show-mean").addEventListener("click", () => onMean(this.mean(this.selection)));
  }

  async unpack(contents) {
    for (const { name, colour, size, rows, ids, outliers } of contents)
      this.all.push({
        name, colour: this.freeColour(colour), visible: true, size, outliers, rows: await unpackArray(rows),
        ids: ids ? await unpackArray(ids) : null,
      });
    this.list();
  }

  /** The colour asked for, or where another group has it, the first that none has. */
  freeColour(asked) {
    const free = LINES.filter((c) => !this.all.some((group) => group.colour === c));
    return this.all.some((group) => group.colour === asked) ? free[0] ?? asked : asked;
  }

  /** What its points are drawn as, where others have its colour. */
  symbolOf(group) {
    const before = this.all.slice(0, this.all.indexOf(group)).filter((other) => other.colour === group.colour);
    return SYMBOLS[before.length % SYMBOLS.length];
  }

  get name() {
    return byId("group-name").value.trim() || "selection";
  }

  idsOf({ rows, ids }) {
    return ids ?? Array.from(rows, (row) => this.particles.ids[row]);
  }

  download(name, ids) {
    saveText(`${slug(name)}.txt`, idsText(ids));
  }

  /** Mean and deviation of each mode's amplitude, over the particles whose amplitudes are known. */
  mean({ rows }) {
    const { particles } = this, names = particles.content.modes.map((mode) => `q${mode}`);
    const known = particles.complete(...names) ? rows : rows.filter((row) => particles.place.has(row));
    const moments = names.map((name) => {
      let [sum, squares] = [0, 0];
      for (const row of known) {
        const q = particles.value(name, row);
        sum += q;
        squares += q * q;
      }
      const average = sum / known.length;
      return [average, Math.sqrt(Math.max(squares / known.length - average ** 2, 0))];
    });
    return { average: moments.map((m) => m[0]), deviation: moments.map((m) => m[1]), count: known.length };
  }

  select(selection) {
    this.selection = selection;
    const some = Boolean(selection?.rows.length);
    for (const id of ["download-selection", "add-group", "show-mean"]) byId(id).disabled = !some;
    let text = selection ? "No particle is in the area." : "Nothing is selected.";
    if (some) {
      const { average, deviation, count } = this.mean(selection);
      const modes = this.particles.content.modes.map((m, i) => `q${m} ${average[i].toFixed(1)} ± ${deviation[i].toFixed(1)}`);
      const known = count < selection.rows.length ? `, of the ${counted(count)} drawn` : "";
      text = `${counted(selection.rows.length)} particles; mean amplitudes${known}: ${modes.join(", ")} Å.`;
    }
    byId("selection-told").textContent = text;
    byId("commands").hidden = !some;
    if (some) this.tellCommands();
  }

  tellCommands() {
    if (!this.selection) return;
    byId("ids-command").textContent = this.idsCommand(this.name, this.selection.outliers);
    byId("box-part").hidden = !this.selection.box;
    byId("box-command").textContent = `${this.command} --box '${this.selection.box}'${this.end(this.name, this.selection.outliers)}`;
  }

  idsCommand(name, outliers) {
    return `${this.command} --ids ${slug(name)}.txt${this.end(name, outliers)}`;
  }

  end(name, outliers) {
    return `${outliers ? " --keep-outliers" : ""} --output ${slug(name)}.star`;
  }

  keep() {
    const names = new Set(this.all.map((group) => group.name));
    let name = this.name;
    for (let n = 2; names.has(name); n++) name = `${this.name} ${n}`;
    const { rows } = this.selection, outliers = rows.some((row) => this.particles.outlier[row]);
    this.all.push({ name, colour: this.freeColour(LINES[0]), visible: true, size: rows.length, outliers, rows, ids: null });
    this.changed();
  }

  changed() {
    this.list();
    this.landscape.draw(false);
  }

  list() {
    byId("groups-part").hidden = this.all.length === 0;
    const outliers = this.all.some((group) => group.outliers) ? " --keep-outliers" : "";
    byId("groups-command").textContent = `${this.command} --groups groups.json${outliers} --output groups`;
    byId("group-commands").textContent = this.all.map((group) => this.idsCommand(group.name, group.outliers)).join("\n");
    byId("groups").replaceChildren(...this.all.map((group) => {
      const seen = element("input", { type: "checkbox", checked: group.visible, ariaLabel: `show ${group.name}` });
      seen.addEventListener("change", () => { group.visible = seen.checked; this.landscape.draw(false); });
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = group.colour;
      const save = element("button", { type: "button" }, "download ids");
      save.addEventListener("click", () => this.download(group.name, this.idsOf(group)));
      const drop = element("button", { type: "button" }, "remove");
      drop.addEventListener("click", () => { this.all.splice(this.all.indexOf(group), 1); this.changed(); });
      const here = group.rows.length < group.size ? `, ${counted(group.rows.length)} of them in this picture` : "";
      return element("tr", {}, element("td", {}, seen), element("td", {}, swatch, group.name),
        element("td", {}, `${counted(group.size)} particles${here}`), element("td", {}, save, " ", drop));
    }));
  }

  /** All groups as the file of io/groups.py; ids are written as they are, which JSON's numbers would not. */
  json() {
    const one = (group) => `{"name": ${JSON.stringify(group.name)}, "colour": "${group.colour}", "ids": [${[...this.idsOf(group)].join(", ")}]}`;
    return `{"format": "${GROUPS_FORMAT}", "groups": [${this.all.map(one).join(", ")}]}\n`;
  }
}
