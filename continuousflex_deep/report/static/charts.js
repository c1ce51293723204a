// Curves: correlations, trainings, energies.

const INK = "#1c2733";
const LINES = []; // the colours of groups, which the report tells
const DASHES = ["solid", "dash", "dot", "dashdot"];
const FONT = { family: 'system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif', size: 13, color: INK };
// nothing that would send a chart to a server
const OFFLINE = { displaylogo: false, showSendToCloud: false, plotlyServerURL: "" };
const CONFIG = { ...OFFLINE, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
const THRESHOLDS = [0.143, 0.5];
const CORRECTED = "half maps, corrected";

const axis = (title, more = {}) => ({
  title: { text: plain(title), standoff: 8 }, gridcolor: "#e8edf1", zeroline: false, linecolor: "#9aa7b3", ticks: "outside",
  tickcolor: "#9aa7b3", automargin: true, ...more,
});

/** A colour for each of a number of lines, and dashes where there are more of them. */
const lineOf = (i, colours = LINES) => ({
  color: colours[i % colours.length], dash: DASHES[Math.floor(i / colours.length) % DASHES.length], width: 2,
});

const layoutOf = (x, y, more = {}) => ({
  font: FONT, margin: { l: 58, r: 14, t: 30, b: 48 }, xaxis: x, yaxis: y, paper_bgcolor: "white", plot_bgcolor: "white",
  legend: { orientation: "h", y: -0.22, font: { size: 12 } }, hovermode: "closest", ...more,
});

function chart(parent, traces, layout) {
  const holder = element("div", { className: "chart" });
  parent.append(holder);
  Plotly.newPlot(holder, traces, layout, CONFIG);
  new ResizeObserver(() => Plotly.Plots.resize(holder)).observe(holder);
  return holder;
}

/** Correlation curves by name over frequency in 1/Å, with the thresholds that resolutions are told by. */
function drawFsc(parent, curves, title) {
  const names = Object.keys(curves);
  const last = Math.max(...names.map((name) => curves[name].frequency.at(-1)));
  const ticks = [];
  for (const A of [40, 20, 14, 10, 8, 6, 5, 4, 3.5, 3, 2.5, 2, 1.5, 1.2, 1]) {
    const room = 1 / A - (ticks.length ? 1 / ticks.at(-1) : 0);
    if (1 / A <= last && room >= last / 14) ticks.push(A); // as many as have room for their number
  }
  const traces = names.map((name, i) => ({
    x: curves[name].frequency, y: curves[name].correlation, name: plain(name), mode: "lines",
    line: lineOf(i), text: curves[name].frequency.map((f) => told(1 / f, 3)),
    hovertemplate: "%{text} Å: %{y:.3f}",
  }));
  const lines = THRESHOLDS.map((y) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: "#8896a3", width: 1, dash: "dash" },
  }));
  const notes = THRESHOLDS.map((y) => ({
    xref: "paper", x: 1, y, text: String(y), showarrow: false, yanchor: "bottom", xanchor: "right",
    font: { size: 11, color: "#5b6b7b" },
  }));
  chart(parent, traces, layoutOf(
    axis("resolution [Å]", { range: [0, last], tickvals: ticks.map((A) => 1 / A), ticktext: ticks.map(String) }),
    axis("Fourier shell correlation", { range: [-0.1, 1.05] }),
    { shapes: lines, annotations: notes, title: { text: plain(title), font: { size: 14 }, x: 0.02 } }));
}

function showReconstructions(reconstructions) {
  for (const one of reconstructions) {
    const card = element("div", { className: "card" }, element("h3", {}, `${one.name} (${one.command})`));
    const several = one.members.length > 1;
    const pictures = element("div", { className: "maps" });
    for (const member of one.members)
      for (const [name, png] of Object.entries(member.pictures)) {
        const what = several ? `${member.name}${name === "map" ? "" : `, ${name}`}` : name;
        pictures.append(element("figure", {}, element("img", { src: `data:image/png;base64,${png}`, alt: `slices of ${what}` }),
          element("figcaption", {}, `${what}${about(member)}`)));
      }
    const charts = element("div", { className: "charts" });
    card.append(pictures, charts);
    byId("reconstructions").append(card);
    const curve = (member, name) => ({ frequency: member.frequency, correlation: member.curves[name] });
    if (several) {
      drawFsc(charts, Object.fromEntries(one.members.map((m) => [m.name, curve(m, CORRECTED)])), CORRECTED);
    } else {
      const names = Object.keys(one.members[0].curves);
      drawFsc(charts, Object.fromEntries(names.map((name) => [name, curve(one.members[0], name)])), "");
    }
    charts.append(resolutionTable(one.members));
  }
}

function about(member) {
  const along = member.axis ? `, ${member.axis} ${told(member.low)} to ${told(member.high)}` : "";
  return (member.particles ? `: ${counted(member.particles)} particles` : "") + along;
}

function resolutionTable(members) {
  const rows = [];
  for (const member of members)
    for (const [name, values] of Object.entries(member.resolutions))
      rows.push([member.name, name, ...THRESHOLDS.map((t) => told(values[t], 3))]);
  return table(["map", "curve", ...THRESHOLDS.map((t) => `FSC ${t} [Å]`)], rows, 2);
}

function showTrainings(trainings) {
  for (const one of trainings)
    for (const network of one.networks) {
      const charts = element("div", { className: "charts" });
      byId("trainings").append(element("div", { className: "card" },
        element("h3", {}, network.name ? `${one.name}: ${network.name}` : one.name),
        ...(one.unfinished ? [element("p", { className: "told" }, "This training is not finished.")] : []), charts));
      drawTraining(charts, network.curves, one.error_labels);
    }
}

function drawTraining(charts, curves, errorLabels) {
  const simulated = (curves.simulated ?? []).reduce((sum, value) => sum + value, 0);
  const grey = simulated ? [{
    type: "rect", yref: "paper", x0: 0.5, x1: simulated + 0.5, y0: 0, y1: 1, fillcolor: "#e3e8ed", line: { width: 0 },
    layer: "below",
  }] : [];
  const notes = simulated ? [{
    yref: "paper", x: 0.5 + simulated / 2, y: 1, yanchor: "bottom", text: "simulated images", showarrow: false,
    font: { size: 11, color: "#5b6b7b" },
  }] : [];
  const line = (name, label, color) => ({
    x: curves.epoch, y: curves[name], name: label, mode: "lines+markers", marker: { size: 4 }, line: { color, width: 2 },
  });
  const more = { shapes: grey, annotations: notes };
  chart(charts, [line("train_loss", "training", LINES[0]), line("validation_loss", "validation", LINES[1])],
    layoutOf(axis("epoch"), axis("loss", lossScale(curves)), more));
  for (const [name, label] of Object.entries(errorLabels))
    if (name in curves)
      chart(charts, [line(name, "validation", LINES[1])],
        layoutOf(axis("epoch"), axis(label, { rangemode: "tozero" }), { ...more, showlegend: false }));
}

/** Logarithmic, unless a loss is not positive, as likelihoods may be. */
function lossScale(curves) {
  const losses = [...curves.train_loss, ...curves.validation_loss];
  return losses.every((value) => value === null || value > 0) ? { type: "log" } : {};
}

/** Energies along a path; calls back with the frame that is clicked. */
function drawEnergy(parent, path, onFrame) {
  const frames = path.energy_kT.map((_, i) => i + 1);
  const up = path.energy_kT.map((e, i) => e + path.energy_sd_kT[i]);
  const down = path.energy_kT.map((e, i) => e - path.energy_sd_kT[i]);
  const band = { x: [...frames, ...frames.toReversed()], y: [...up, ...down.toReversed()] };
  const few = Math.max(1, Math.ceil(frames.length / 10));
  const holder = chart(parent, [
    { ...band, fill: "toself", fillcolor: "rgba(68,119,170,0.18)", line: { width: 0 }, mode: "lines", hoverinfo: "skip" },
    {
      x: frames, y: path.energy_kT, mode: "lines+markers", line: { color: LINES[0], width: 2 }, marker: { size: 7 },
      text: path.near.map((n) => `${counted(n)} particles near`), hovertemplate: "frame %{x}: %{y:.2f} kT, %{text}<extra></extra>",
    },
  ], layoutOf(axis("frame", { tick0: 1, dtick: few }), axis("energy above the densest place [kT]"), { showlegend: false }));
  holder.on("plotly_click", (event) => onFrame(event.points.at(-1).x - 1));
}

const HIGHEST_KT = 6;

/** Free energies over the first coordinate and in the first plane of a landscape; the plane's is chosen by a control. */
async function drawDensities(densities) {
  if (!densities.length) return;
  byId("energy-panel").hidden = false;
  const errors = Object.entries(densities.at(-1).errors).map(([label, sd]) => `${label} ${told(sd, 3)}`);
  byId("energy-told").textContent = `−ln p, relative to the densest place; deconvolved with the errors of the coordinates, on average ${errors.join(", ")}.`;
  const [line, plane] = densities;
  const unpacked = {};
  for (const name of ["raw", "deconvolved", "low", "high"]) unpacked[name] = Array.from(await unpackArray(line[name]));
  const x = Array.from(await unpackArray(line.places[0]));
  // a band is the energies of the lower density, and back those of the higher one
  const band = { x: [...x, ...x.toReversed()], y: [...unpacked.low, ...unpacked.high.toReversed()] };
  chart(byId("energies"), [
    { ...band, name: "95% of bootstrap replicas", fill: "toself", fillcolor: "rgba(68,119,170,0.2)", line: { width: 0 }, mode: "lines", hoverinfo: "skip" },
    { x, y: unpacked.deconvolved, name: "deconvolved", mode: "lines", line: { color: LINES[0], width: 2 } },
    { x, y: unpacked.raw, name: "raw", mode: "lines", line: { color: "#5b6b7b", width: 2, dash: "dash" } },
  ], layoutOf(axis(line.labels[0]), axis("−ln p [kT]", { range: [-0.3, HIGHEST_KT] })));
  byId("energy-density").parentElement.hidden = !plane;
  if (plane) await drawPlane(plane);
}

async function drawPlane(plane) {
  const [x, y] = [await unpackArray(plane.places[0]), await unpackArray(plane.places[1])].map((places) => Array.from(places));
  const energies = { raw: await unpackArray(plane.raw), deconvolved: await unpackArray(plane.deconvolved) };
  // rows of the page's arrays are places along the first coordinate
  const z = (values) => y.map((_, j) => x.map((__, i) => (values[i * y.length + j] > HIGHEST_KT ? null : values[i * y.length + j])));
  const trace = (name) => ({
    type: "contour", x, y, z: z(energies[name]), zmin: 0, zmax: HIGHEST_KT, colorscale: "Viridis", reversescale: true,
    contours: { start: 0, end: HIGHEST_KT, size: 0.5 }, line: { width: 0.4 }, connectgaps: false,
    colorbar: { title: { text: "−ln p [kT]", side: "right" }, thickness: 14, outlinewidth: 0 },
    hovertemplate: "%{z:.2f} kT<extra></extra>",
  });
  const holder = chart(byId("energies"), [trace("deconvolved")], layoutOf(axis(plane.labels[0]), axis(plane.labels[1])));
  byId("energy-density").addEventListener("change", (event) => Plotly.react(holder, [trace(event.target.value)], holder.layout, CONFIG));
}
