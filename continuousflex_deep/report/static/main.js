// What is shown where, and how its parts act on each other.

const STEP_MS = 120;
const BY_HAND = "by hand";
const SECTIONS = {
  landscape: "Landscape", trajectories: "Trajectories", reconstructions: "Maps", trainings: "Training",
  evaluations: "Errors", records: "How it was made",
};

/** The molecular viewer with its sliders, its player and what it says. */
class MoleculePanel {
  constructor(content) {
    Object.assign(this, { content, viewer: new MolecularViewer("molecule"), paths: content.trajectories, landscape: null,
      moves: Boolean(content.molecule) });
    byId("rest").addEventListener("click", () => this.showRest());
    byId("show-rest").addEventListener("change", (event) => this.viewer.showRest(event.target.checked));
    byId("download-structure").addEventListener("click", () => this.download());
    byId("rest").hidden = byId("sliders").hidden = !this.moves;
    if (this.paths.length) this.fillPlayer();
    // what is asked for before the molecules are unpacked waits for them, and for nothing where they are damaged
    this.unpacked = new Promise((resolve) => { this.unpackedAll = resolve; });
  }

  async start(bounds) {
    if (this.moves) {
      this.molecule = await Molecule.unpack(this.content.molecule);
      this.fillSliders(bounds);
    }
    for (const path of this.paths) path.molecule = path.molecule ? await Molecule.unpack(path.molecule) : this.molecule;
    this.tellDownload();
    this.unpackedAll();
    await (this.asked ?? (this.moves ? this.showRest() : this.showFrame(0)));
  }

  /** One atom a residue is all that the page knows. */
  tellDownload() {
    const { pseudoatoms, atom_names } = (this.molecule ?? this.paths[0].molecule).content;
    const names = [...new Set(atom_names)].sort().join();
    const which = { CA: "Cα atoms only", P: "P atoms only", "CA,P": "Cα and P atoms only" }[names];
    this.held = `${pseudoatoms ? "pseudoatoms" : which ?? "one atom of a residue only"}, centred`;
    byId("download-told").textContent = this.held;
  }

  async download() {
    await this.unpacked;
    await this.viewer.busy;
    const { molecule, shown } = this.viewer;
    if (!molecule) return;
    const text = `# ${plainLine(this.shownAs)}: ${this.held}\n${molecule.mmcif(shown)}`;
    saveText(`structure_${slug(this.shownAs)}.cif`, text, "chemical/x-mmcif");
  }

  fillSliders(bounds) {
    this.sliders = this.molecule.modes.map((mode, m) => {
      const [low, high] = bounds?.[m] ?? [-200, 200];
      const slider = element("input", { type: "range", min: Math.min(low, 0), max: Math.max(high, 0), step: "any", value: 0,
        id: `slider-${mode}` });
      const output = element("output");
      slider.addEventListener("input", () => this.showAmplitudes(this.sliders.map((s) => Number(s.slider.value)), BY_HAND, null));
      byId("sliders").append(element("label", { htmlFor: slider.id }, `mode ${mode}`), slider, output);
      return { slider, output };
    });
  }

  fillPlayer() {
    byId("player").hidden = false;
    byId("path").append(...this.paths.map((path, i) => element("option", { value: i }, path.name)));
    byId("path").addEventListener("change", () => this.showFrame(0));
    byId("frame").addEventListener("input", () => this.showFrame(Number(byId("frame").value)));
    byId("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
  }

  get path() {
    return this.paths[Number(byId("path").value)];
  }

  stop() {
    clearTimeout(this.playing);
    this.playing = null;
    byId("play").textContent = "play";
  }

  /** There and back, as fast as frames are drawn, but no faster than one would want. */
  play() {
    byId("play").textContent = "stop";
    let [frame, way] = [Number(byId("frame").value), 1];
    const step = async () => {
      const last = this.path.points.length - 1;
      if (frame >= last) way = -1;
      if (frame <= 0) way = 1;
      frame += way;
      await this.showFrame(frame, true);
      if (this.playing) this.playing = setTimeout(step, STEP_MS);
    };
    this.playing = setTimeout(step, STEP_MS);
  }

  async showRest() {
    await this.showAmplitudes(this.content.molecule.modes.map(() => 0), "at rest", null);
  }

  async showAmplitudes(amplitudes, what, place) {
    if (this.playing) this.stop();
    this.landscape?.mark(place);
    await this.show(() => {
      this.tellAmplitudes(amplitudes, what);
      this.shownAs = what === BY_HAND ? amplitudes.map((q, m) => `q${this.molecule.modes[m]} ${q.toFixed(1)}`).join(" ") : what;
      return [this.molecule, this.molecule.motion.coordinates(amplitudes)];
    });
  }

  async showFrame(number, playing = false) {
    if (this.playing && !playing) this.stop();
    const { path } = this, amplitudes = path.amplitudes?.[number], what = `${path.name}, frame ${number + 1}`;
    Object.assign(byId("frame"), { max: path.points.length - 1, value: number });
    byId("frame-told").textContent = `frame ${number + 1} of ${path.points.length}, ${path.energy_kT[number].toFixed(2)} kT`;
    this.landscape?.mark(() => this.landscape.placesOf(path)?.[number]);
    await this.show(() => {
      if (amplitudes) this.tellAmplitudes(amplitudes, what);
      else byId("molecule-told").textContent = what;
      this.shownAs = what;
      return [path.molecule, amplitudes ? path.molecule.motion.coordinates(amplitudes) : path.molecule.frame(number)];
    });
  }

  /** Show what comes of `make`, once there are molecules; of what is asked for before that, the last. */
  async show(make) {
    const asked = (this.asked = this.unpacked.then(() => (this.asked === asked ? this.viewer.show(...make()) : null)));
    await asked;
  }

  tellAmplitudes(amplitudes, what) {
    const rmsd = this.molecule.motion.rmsd(amplitudes).toFixed(2);
    const values = amplitudes.map((q, i) => `q${this.molecule.modes[i]} ${q.toFixed(1)}`).join(", ");
    byId("molecule-told").textContent = `${what}: ${values} Å, RMSD ${rmsd} Å from rest`;
    this.sliders.forEach(({ slider, output }, i) => {
      slider.value = amplitudes[i];
      output.textContent = `${amplitudes[i].toFixed(1)} Å`;
    });
  }
}

/** Where 1 and 99 % of drawn amplitudes lie, a little widened, by mode. */
function amplitudeBounds(particles) {
  return particles.content.modes.map((mode) => {
    const sorted = Float32Array.from(particles.ofDrawn(`q${mode}`)).sort();
    const [low, high] = [0.01, 0.99].map((p) => sorted[Math.round(p * (sorted.length - 1))]);
    return [low - 0.2 * (high - low), high + 0.2 * (high - low)];
  });
}

/** Whether coordinates depend on view, defocus and micrograph: a sentence and a picture. */
function showDependence(dependence) {
  if (!dependence) return;
  byId("dependence-panel").hidden = false;
  Object.assign(byId("dependence-told"), { textContent: `${dependence.sentence}.`, className: dependence.alarm ? "wrong" : "told" });
  if (dependence.picture)
    byId("dependence-panel").append(element("img", { src: `data:image/png;base64,${dependence.picture}`,
      alt: "means of a coordinate by view, in-plane angle, defocus and micrograph", className: "wide" }));
}

async function showLandscape(content, panel, state) {
  const particles = await Particles.unpack(content.landscape);
  const place = (landscape, row) => () => landscape.names.map((name) => particles.value(name, row));
  const onPoint = (row) => {
    if (panel?.moves) panel.showAmplitudes(particles.amplitudes(row), `particle ${particles.ids[row]}`, place(landscape, row));
    else landscape.mark(place(landscape, row));
  };
  const landscape = new Landscape(particles, content.trajectories, onPoint, (selection) => groups.select(selection));
  const onMean = panel?.moves ? ({ average }) => panel.showAmplitudes(average, `mean of ${groups.name}`, null) : null;
  const groups = new Groups(particles, landscape, onMean);
  await groups.unpack(content.landscape.groups);
  if (panel) panel.landscape = landscape;
  Object.assign(state, { particles, landscape, groups });
  await landscape.draw(true);
  showDependence(content.landscape.dependence);
  await drawDensities(content.landscape.densities);
}

function showTrajectories(trajectories, panel) {
  trajectories.forEach((path, i) => {
    const barriers = "barrier_kT" in path.barriers ? `Barrier ${told(path.barriers.barrier_kT, 3)} ± ` +
      `${told(path.barriers.barrier_sd_kT, 2)} kT there, ${told(path.barriers.barrier_back_kT, 3)} ± ` +
      `${told(path.barriers.barrier_back_sd_kT, 2)} kT back. ` : "";
    const card = element("div", { className: "card" }, element("h3", {}, path.name),
      element("p", { className: "told" },
        `${path.points.length} frames, kind ${path.kind}. ${barriers}${panel ? "A click on a frame shows it." : ""}`));
    const charts = element("div", { className: "charts" });
    card.append(charts);
    byId("trajectories").append(card);
    drawEnergy(charts, path, (frame) => {
      byId("path").value = i;
      panel?.showFrame(frame);
    });
  });
}

/** What of a browser the page needs and this one lacks. */
function missingApis() {
  const needed = { DecompressionStream: window.DecompressionStream, ResizeObserver: window.ResizeObserver,
    BigInt64Array: window.BigInt64Array, "Array.toReversed": Array.prototype.toReversed };
  return Object.keys(needed).filter((name) => !needed[name]);
}

async function showMolecule(content, state) {
  await runLibrary(content.libraries.molstar);
  byId("molecule-panel").hidden = false;
  return (state.panel = new MoleculePanel(content));
}

/** Only the molecule, where there is no landscape. */
function hideLandscape() {
  const grid = document.querySelector(".side-by-side");
  for (const part of [byId("landscape").parentElement, byId("selection-panel"), grid.previousElementSibling]) part.hidden = true;
  document.querySelector("#landscape-section h2").textContent = "Structure";
}

async function main() {
  const missing = missingApis();
  if (missing.length)
    throw new Error(`it lacks ${missing.join(", ")}. It needs a browser of 2023 or later`);
  const content = JSON.parse(byId("content").textContent);
  byId("title").textContent = content.title;
  byId("made").textContent = `continuousflex_deep ${content.version}, ${content.made}`;
  LINES.push(...content.colours);
  const state = { content };
  window.report = state; // for those who look closer, such as the tests
  const molecular = Boolean(content.libraries.molstar) && WEBGL;
  for (const [name, label] of Object.entries(SECTIONS)) {
    const shown = name === "landscape" ? content.landscape || molecular : content[name].length;
    if (!shown) continue;
    byId(`${name}-section`).hidden = false;
    byId("contents").append(element("a", { href: `#${name}-section` }, name === "landscape" && !content.landscape ? "Structure" : label));
  }
  await runLibrary(content.libraries.plotly);
  await within("reconstructions-section", () => showReconstructions(content.reconstructions));
  await within("trainings-section", () => showTrainings(content.trainings));
  await within("evaluations-section", () => showEvaluations(content.evaluations));
  await within("records-section", () => showRecords(content.records));
  const panel = molecular ? await within("landscape-section", () => showMolecule(content, state)) : null;
  document.querySelector(".side-by-side").classList.toggle("alone", !(content.landscape && molecular));
  if (content.landscape) await within("landscape-section", () => showLandscape(content, panel, state));
  else hideLandscape();
  await within("trajectories-section", () => showTrajectories(content.trajectories, panel));
  if (panel) await within("landscape-section", () => panel.start(state.particles && amplitudeBounds(state.particles)));
  byId("status").hidden = WEBGL;
  byId("status").textContent = "This browser has no WebGL: molecules are not shown, and many points are drawn slowly.";
}

main().then(() => { document.body.dataset.state = "ready"; }, (error) => {
  document.body.dataset.state = "failed";
  byId("status").className = "wrong";
  byId("status").textContent = missingApis().length
    ? `This browser cannot show the page: ${error.message}.`
    : `This page is damaged: ${error.message}. Make it again with the report command.`;
  console.error(error);
});
