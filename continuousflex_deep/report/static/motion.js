// How amplitudes move the atoms shown: what the package motion does for the commands, and the only place here that
// knows.

/** Atoms on straight lines, of vectors that leave the weighted centre of all atoms in place. */
class StraightMotion {
  constructor(rest, vectors, gram) {
    Object.assign(this, { rest, vectors, gram });
  }

  static async unpack(content, rest) {
    return new StraightMotion(rest, await unpackArray(content.vectors), content.gram);
  }

  /** Coordinates of amplitudes in Å, in the order of the modes: rest + Σ q·v. */
  coordinates(amplitudes) {
    const moved = Float32Array.from(this.rest), n = moved.length;
    amplitudes.forEach((q, m) => {
      for (let i = 0; i < n; i++) moved[i] += q * this.vectors[m * n + i];
    });
    return moved;
  }

  /** RMSD in Å of amplitudes, over all atoms. */
  rmsd(amplitudes) {
    let sum = 0;
    amplitudes.forEach((a, i) => amplitudes.forEach((b, j) => (sum += a * b * this.gram[i][j])));
    return Math.sqrt(Math.max(sum, 0));
  }
}

/** Rigid blocks of atoms on helices, with joints or without: the same formulas as motion/helical.py and screws.py. */
class HelicalMotion {
  constructor(rest, parts) {
    Object.assign(this, { rest }, parts);
    this.blocks = parts.weights.length;
    this.modes = parts.twists.length / (6 * this.blocks);
  }

  static async unpack(content, rest) {
    const names = ["twists", "block", "arms", "weights", "bends", "joints"], parts = {};
    for (const name of names.filter((n) => content[n])) parts[name] = await unpackArray(content[name]);
    return new HelicalMotion(rest, parts);
  }

  /** Coordinates of amplitudes in Å, in the order of the modes. Each atom belongs to one block. */
  coordinates(amplitudes) {
    const moved = Float32Array.from(this.rest), screws = this._screws(amplitudes), atoms = moved.length / 3;
    for (let a = 0; a < atoms; a++) {
      const { turn, shift } = screws[this.block[a]];
      const arm = [0, 1, 2].map((i) => this.arms[4 * a + i]);
      const bent = [0, 1, 2].map((i) => this._bend(amplitudes, 3 * a + i));
      for (let i = 0; i < 3; i++) {
        let by = shift[i] + bent[i];
        for (let j = 0; j < 3; j++) by += turn[3 * i + j] * (arm[j] + bent[j]);
        moved[3 * a + i] += by;
      }
    }
    return moved;
  }

  /** RMSD in Å of amplitudes, over the atoms shown. */
  rmsd(amplitudes) {
    const moved = this.coordinates(amplitudes);
    let sum = 0;
    moved.forEach((x, i) => (sum += (x - this.rest[i]) ** 2));
    return Math.sqrt(sum / (moved.length / 3));
  }

  _bend(amplitudes, place) {
    if (!this.bends) return 0;
    return amplitudes.reduce((sum, q, m) => sum + q * this.bends[m * this.rest.length + place], 0);
  }

  /** R − 1 and t of every block; the weighted centre of all atoms stays in place. */
  _screws(amplitudes) {
    const drift = [0, 0, 0], screws = [], twists = [];
    for (let b = 0; b < this.blocks; b++) {
      const twist = [0, 0, 0, 0, 0, 0];
      amplitudes.forEach((q, m) => {
        for (let i = 0; i < 6; i++) twist[i] += q * this.twists[(m * this.blocks + b) * 6 + i];
      });
      screws.push(screwOf(twist));
      twists.push(twist);
    }
    if (this.joints) this._close(screws, twists);
    screws.forEach(({ shift }, b) => shift.forEach((x, i) => (drift[i] += this.weights[b] * x)));
    for (const { shift } of screws) drift.forEach((x, i) => (shift[i] -= x));
    return screws;
  }

  /** Translate the blocks so that joints open to first order alone. */
  _close(screws, twists) {
    const n = this.blocks, moved = [0, 1, 2].map(() => new Float64Array(n));
    screws.forEach(({ turn, shift }, c) => {
      const [tx, ty, tz, x, y, z] = twists[c], across = [0, -z, y, z, 0, -x, -y, x, 0], velocity = [tx, ty, tz];
      for (let i = 0; i < 3; i++) {
        const row = moved[i];
        for (let k = 0; k < 4; k++) {
          const beyond = k < 3 ? turn[3 * i + k] - across[3 * i + k] : shift[i] - velocity[i];
          const from = (4 * c + k) * n;
          for (let b = 0; b < n; b++) row[b] += beyond * this.joints[from + b];
        }
      }
    });
    screws.forEach(({ shift }, b) => moved.forEach((row, i) => (shift[i] -= row[b])));
  }
}

/** The rotation minus 1, as nine numbers, and the translation of a twist: velocity in Å and rotation vector in rad. */
function screwOf([tx, ty, tz, x, y, z]) {
  const squared = x * x + y * y + z * z, angle = Math.sqrt(squared), small = squared < 1e-4;
  const a = small ? 1 - squared / 6 : Math.sin(angle) / angle;
  const b = small ? 1 / 2 - squared / 24 : (1 - Math.cos(angle)) / squared;
  const c = small ? 1 / 6 - squared / 120 : (1 - a) / squared;
  const across = [0, -z, y, z, 0, -x, -y, x, 0];
  const twice = [x * x, x * y, x * z, x * y, y * y, y * z, x * z, y * z, z * z];
  for (const i of [0, 4, 8]) twice[i] -= squared;
  const turn = across.map((v, i) => a * v + b * twice[i]);
  const along = across.map((v, i) => b * v + c * twice[i] + (i % 4 === 0 ? 1 : 0));
  const shift = [0, 1, 2].map((i) => along[3 * i] * tx + along[3 * i + 1] * ty + along[3 * i + 2] * tz);
  return { turn, shift };
}

const MOTIONS = { straight: StraightMotion, helical: HelicalMotion, jointed: HelicalMotion };
