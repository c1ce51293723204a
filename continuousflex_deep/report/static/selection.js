// Areas drawn in the landscape, and which particles are in them.

/** The areas of Plotly's selections, as {box: [x0, x1, y0, y1]} or {polygons: [[[x, y], …], …]}. */
function areasOf(selections) {
  return (selections ?? []).map((s) => {
    if (s.type === "rect") {
      // as the command's text will say it, so that both select the same
      const ends = (a, b) => [Math.min(a, b), Math.max(a, b)].map((v) => Number(v.toPrecision(7)));
      return { box: [...ends(s.x0, s.x1), ...ends(s.y0, s.y1)] };
    }
    const rings = s.path.split("M").filter((part) => part);
    return { polygons: rings.map((ring) => ring.replace(/Z/g, "").split("L").map((p) => p.split(",").map(Number))) };
  });
}

/** Whether a place is inside polygons, by the number of edges to its right (holes are polygons, too). */
function insidePolygons(polygons, x, y) {
  let inside = false;
  for (const ring of polygons)
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i], [xj, yj] = ring[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
  return inside;
}

/** Of n places (x[i], y[i]), those in any area for which allowed(i) holds. */
function rowsInside(areas, x, y, allowed) {
  const rows = [];
  for (let i = 0; i < x.length; i++) {
    if (!allowed(i)) continue;
    const within = areas.some(({ box, polygons }) =>
      box ? x[i] >= box[0] && x[i] <= box[1] && y[i] >= box[2] && y[i] <= box[3] : insidePolygons(polygons, x[i], y[i]));
    if (within) rows.push(i);
  }
  return Uint32Array.from(rows);
}
