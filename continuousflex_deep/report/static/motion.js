// How amplitudes move the atoms shown: what motion.py does for the commands, and the only place here that knows.

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
