// The molecular viewer: Mol* shows the atoms as mmCIF, whose coordinates are replaced as the molecule moves.

const ATOM_COLUMNS = [
  "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id", "label_entity_id",
  "label_seq_id", "auth_seq_id", "auth_asym_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv",
];

const MANY = 3000; // atoms, from which on they are drawn coarsely: a ribosome moves twenty times as fast

// without ambient occlusion and smoothed edges, for each of which a processor takes seconds
const PLAIN = {
  multiSample: { mode: "off" },
  postprocessing: {
    occlusion: { name: "off", params: {} }, antialiasing: { name: "off", params: {} }, bloom: { name: "off", params: {} },
  },
};

/** Whether WebGL works without a graphics processor, as on some remote desktops. */
function drawnByProcessor() {
  const gl = document.createElement("canvas").getContext("webgl");
  const facts = gl?.getExtension("WEBGL_debug_renderer_info");
  return Boolean(facts) && /swiftshader|llvmpipe|softpipe|basic render/i.test(gl.getParameter(facts.UNMASKED_RENDERER_WEBGL));
}

/** A molecule's atoms shown, its rest, and how it moves: by amplitudes along modes (motion), or through frames. */
class Molecule {
  constructor(content, rest, motion, frames) {
    Object.assign(this, { content, rest, motion, frames });
    this.modes = content.modes ?? [];
  }

  static async unpack(content) {
    const rest = await unpackArray(content.coordinates);
    const motion = content.modes ? await MOTIONS[content.motion].unpack(content, rest) : null;
    return new Molecule(content, rest, motion, content.frames ? await unpackArray(content.frames) : null);
  }

  frame(number) {
    const n = this.rest.length;
    return this.frames.subarray(number * n, (number + 1) * n);
  }

  mmcif(coordinates) {
    const { atom_names, residues, numbers, insertions, chains } = this.content;
    const word = (text) => (/^[A-Za-z0-9][A-Za-z0-9_.+-]*$/.test(text) ? text : `"${text.replace(/["\s]/g, "_")}"`);
    const lines = ["data_molecule", "loop_", ...ATOM_COLUMNS.map((name) => `_atom_site.${name}`)];
    let place = 0; // in the sequence, where residues are missing further on; several may have one number
    for (let i = 0; i < numbers.length; i++) {
      place = i && chains[i] === chains[i - 1] ? place + Math.max(1, numbers[i] - numbers[i - 1]) : 1;
      const [x, y, z] = coordinates.subarray(3 * i, 3 * i + 3);
      const [atom, chain] = [word(atom_names[i]), word(chains[i])];
      const symbol = atom_names[i] === "P" ? "P" : "C";
      lines.push(`ATOM ${i + 1} ${symbol} ${atom} . ${word(residues[i])} ${chain} 1 ${place} ${numbers[i]} ${chain} ` +
        `${insertions[i] ? word(insertions[i]) : "?"} ${x.toFixed(3)} ${y.toFixed(3)} ${z.toFixed(3)} 1 0`);
    }
    return lines.join("\n") + "\n";
  }
}

/** Shows one molecule at a time, in motion, and its rest in grey. */
class MolecularViewer {
  constructor(holder) {
    this.viewer = new rcsbMolstar.Viewer(holder, {
      showImportControls: false, showSessionControls: false, showStructureSourceControls: false,
      showMembraneOrientationPreset: false, layoutShowControls: false, layoutShowSequence: false, layoutShowLog: false,
      layoutShowLeft: false, layoutShowRemoteState: false, layoutIsExpanded: false, viewportShowExpand: false,
      detachedFromSierra: true,
    });
    Object.assign(this, { busy: null, wanted: null, molecule: null, shown: null, rest: true });
  }

  /** Show a molecule at coordinates; while one is being drawn, only the latest of further wishes is kept. */
  async show(molecule, coordinates) {
    this.wanted = { molecule, coordinates };
    this.busy ??= this.drawWanted().finally(() => (this.busy = null));
    return this.busy;
  }

  async drawWanted() {
    while (this.wanted) {
      const { molecule, coordinates } = this.wanted;
      this.wanted = null;
      if (this.molecule !== molecule) await this.load(molecule);
      const text = molecule.mmcif(coordinates);
      await this.viewer.plugin.build().to(this.moving).update((old) => { old.data = text; }).commit();
      this.shown = coordinates;
    }
  }

  /** Another molecule, at rest. */
  async load(molecule) {
    await this.viewer.plugin.clear();
    if (drawnByProcessor()) this.viewer.plugin.canvas3d?.setProps(PLAIN);
    this.molecule = this.grey = null;
    const text = molecule.mmcif(molecule.rest), label = molecule.content.name;
    const type = molecule.content.trace ? "cartoon" : "spacefill";
    const typeParams = { quality: molecule.content.shown > MANY ? "lowest" : "auto" };
    const colour = molecule.content.pseudoatoms ? { color: "uniform", colorParams: { value: 0x4477aa } } : { color: "sequence-id" };
    this.moving = await this.add(text, label, { type, typeParams, ...colour });
    this.grey = await this.add(text, label, {
      type, typeParams: { ...typeParams, alpha: 0.25 }, color: "uniform", colorParams: { value: 0x8896a3 },
    });
    this.molecule = molecule;
    this.showRest(this.rest);
    this.viewer.plugin.managers.camera.reset();
  }

  async add(text, label, representation) {
    const { structure, data } = this.viewer.plugin.builders;
    const raw = await data.rawData({ data: text, label });
    const model = await structure.createModel(await structure.parseTrajectory(raw, "mmcif"));
    const made = await structure.createStructure(model);
    const all = await structure.tryCreateComponentStatic(made, "all");
    await structure.representation.addRepresentation(all, representation);
    return raw;
  }

  /** Show or hide the grey molecule at rest, once there is one. */
  showRest(visible) {
    this.rest = visible;
    if (!this.grey) return;
    const state = this.viewer.plugin.state.data;
    for (const ref of [this.grey.ref, ...this.subtree(this.grey.ref)]) state.updateCellState(ref, { isHidden: !visible });
  }

  subtree(ref) {
    const { children } = this.viewer.plugin.state.data.tree;
    const below = [...(children.get(ref)?.values() ?? [])];
    return below.flatMap((child) => [child, ...this.subtree(child)]);
  }
}
