// The interactive page of a results folder: reads the JSON beside it, draws with plotly.
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const el = id => document.getElementById(id);
const COLOURS = ["#3b528b", "#c0392b", "#21918c", "#e08a1e", "#7b4173", "#5ec962", "#636363", "#1f77b4"];
const DIVERGING = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];
const GREY = "#c9ced3", LOGARITHMIC = 100, DECADES = 8, LONGEST_ASPECT = 8, MOST_CURVES = 8, MOST_NAMES = 60;
const PREFIXED = ["s", "V", "A", "S", "K", "eV", "m", "Hz", "W"];
const FONT = {family: "system-ui, Segoe UI, DejaVu Sans, sans-serif", size: 12, color: "#1d2733"};
const OPTIONS = {displaylogo: false, displayModeBar: "hover", responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"],
  toImageButtonOptions: {format: "svg"}};

// ---- data

function decoded(text, kind) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new kind(bytes.buffer);
}
for (const axis of Object.values(data.axes)) {
  axis.numeric = typeof axis.values[0] === "number";
  if (axis.quantity === "energy" || axis.quantity === "omega") {
    if (axis.unit === "eV" && data.delta0) axis.values = axis.values.map(v => v / data.delta0);
    axis.unit = data.delta0 ? "" : axis.unit;
    axis.spectral = true;
  }
  axis.spectral = axis.spectral || axis.quantity === "frequency";
}
for (const variable of data.variables) {
  variable.values = decoded(variable.values, Float32Array);
  variable.axes = variable.dims.map(name => data.axes[name]);
  let stride = 1;
  variable.strides = [];
  for (let i = variable.axes.length - 1; i >= 0; i--) {
    variable.strides[i] = stride;
    stride *= variable.axes[i].values.length;
  }
}
const shape = data.shape;
if (shape) {
  for (const name of ["points", "centre", "half"]) shape[name] = decoded(shape[name], Float32Array);
  for (const name of ["triangles", "cell", "region"]) shape[name] = decoded(shape[name], Int32Array);
}
const ofKind = kind => data.variables.filter(v => v.kind === kind);
const fields = shape ? ofKind("field") : [];
const spectra = ofKind("spectrum").filter(v => shape || !v.axes.some(a => a.quantity === "cell"));
const curves = ofKind("curve");

// State: a value of every quantity that is swept, and the cells that were clicked last.
const at = {};
let cell = 0, before = null, touched = null;

// ---- numbers and names

const SI = [[1e-15, "f"], [1e-12, "p"], [1e-9, "n"], [1e-6, "µ"], [1e-3, "m"], [1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"]];
function shown(value, unit) {
  if (typeof value === "string") return value;
  if (!isFinite(value)) return "no value";
  if (value === 0 || !PREFIXED.includes(unit)) return `${short(value)}${unit ? " " + unit : ""}`;
  if (unit === "V" && Math.abs(value) >= 1e-5 && Math.abs(value) < 1) return `${short(value * 1e3)} mV`;
  const [power, prefix] = SI.findLast(([p]) => p <= Math.abs(value) * (1 + 1e-6)) || SI[0];
  return `${short(value / power)} ${prefix}${unit}`;
}
function short(value) {
  const text = Number(value.toPrecision(4));
  const size = Math.abs(text);
  return (size !== 0 && (size < 1e-3 || size >= 1e5) ? text.toExponential() : String(text)).replace("-", "−");
}
// Title of an axis: symbol and unit; a unit with prefixes stands at the ticks.
const titled = v => `${v.symbol || v.name}${v.unit && !PREFIXED.includes(v.unit) ? ` (${v.unit})` : ""}`;
const named = variable => `${variable.label}${variable.label.includes(variable.name) ? "" : ` (${variable.name})`}`;
const heading = thing => thing.label + (thing.unit ? ` (${thing.unit})` : "");
function axisTitle(axis) {
  if (axis.quantity === "energy") return data.delta0 ? `E / Δ₀   (Δ₀ = ${shown(data.delta0, "eV")})` : heading(axis);
  if (axis.quantity === "omega") return data.delta0 ? `ħω / Δ₀   (Δ₀ = ${shown(data.delta0, "eV")})` : heading(axis);
  return PREFIXED.includes(axis.unit) ? axis.label : heading(axis);
}
function ticks(unit) {
  return PREFIXED.includes(unit) ? {tickformat: "~s", ticksuffix: unit} : {exponentformat: "power"};
}
function escaped(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

// ---- places in arrays

function nearest(axis, value) {
  if (!axis.numeric) return Math.max(axis.values.indexOf(value), 0);
  let best = 0;
  axis.values.forEach((v, i) => { if (Math.abs(v - value) < Math.abs(axis.values[best] - value)) best = i; });
  return best;
}
// Of cells with spectra the one whose centre is nearest to the chosen one.
function nearestCell(axis) {
  let best = 0, least = Infinity;
  axis.values.forEach((id, i) => {
    const d = distance2(shape.centre, id, cell);
    if (d < least) { least = d; best = i; }
  });
  return best;
}
function distance2(c, i, j) {
  return (c[3*i] - c[3*j]) ** 2 + (c[3*i+1] - c[3*j+1]) ** 2 + (c[3*i+2] - c[3*j+2]) ** 2;
}
function place(axis) {
  if (axis.quantity === "cell") return nearestCell(axis);
  return axis.quantity in at ? nearest(axis, at[axis.quantity]) : 0;
}
// Values of a variable along one axis; one curve for each value of the axes that are spread.
function family(variable, x, spread) {
  const along = variable.axes.indexOf(x);
  let list = [{offset: 0, label: []}];
  variable.axes.forEach((axis, i) => {
    if (i === along) return;
    const one = axis.values.length === 1 || axis.quantity === "cell" || !(spread && axis.values.length <= MOST_CURVES || !axis.numeric);
    const rows = one ? [place(axis)] : axis.values.map((_, row) => row);
    list = list.flatMap(entry => rows.map(row => ({
      offset: entry.offset + row * variable.strides[i],
      label: one ? entry.label : [...entry.label, shown(axis.values[row], axis.unit)],
    })));
  });
  return list.slice(0, 24).map(({offset, label}) => ({
    label: label.join(", "),
    x: x.values,
    y: x.values.map((_, i) => variable.values[offset + i * variable.strides[along]]),
  })).filter(curve => curve.y.some(isFinite));
}
// The field in all cells at the present step, or at all steps.
function inCells(variable, whole = false) {
  if (whole) return variable.values;
  let offset = 0;
  variable.axes.forEach((axis, i) => { if (axis.quantity !== "cell") offset += place(axis) * variable.strides[i]; });
  const last = variable.axes.length - 1;
  return variable.values.subarray(offset, offset + variable.axes[last].values.length);
}
// Normal metals and insulators, which never have a gap, have no part in the colours of fields of a superconductor:
// a metal has electrons at all energies, which would leave nothing to be seen of the others.
let gapless = null;
function findGapless() {
  const gap = fields.find(v => v.name === "gap");
  if (!gap) return;
  const n = gap.axes.at(-1).values.length, most = new Float32Array(n);
  gap.values.forEach((v, i) => { if (v > most[i % n]) most[i % n] = v; });
  if (most.some(v => v > 0) && most.some(v => !(v > 0))) gapless = most.map(v => v > 0 ? 0 : 1);
}
function coloured(variable, value, c) {
  if (!isFinite(value)) return false;
  return !(gapless && gapless[c] && data.superconducting.includes(variable.name));
}
function range(variable, values) {
  let low = Infinity, high = -Infinity, least = Infinity;
  const n = variable.axes.at(-1).values.length;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (!coloured(variable, v, i % n)) continue;
    if (v < low) low = v;
    if (v > high) high = v;
    if (v > 0 && v < least) least = v;
  }
  return {low, high, least};
}
const spans = values => {
  const good = values.filter(v => v > 0 && isFinite(v));
  return good.length > 1 && !values.some(v => v < 0) && Math.max(...good) > LOGARITHMIC * Math.min(...good);
};

// ---- controls

function options(select, list, text, chosen = 0) {
  select.replaceChildren(...list.map((entry, i) => new Option(text(entry), i)));
  select.selectedIndex = Math.min(chosen, list.length - 1);
  return select;
}
function label(text, ...parts) {
  const node = document.createElement("label");
  node.append(`${text} `, ...parts);
  return node;
}
// The axis of the slider: that of the steps of fields, else of spectra.
function mainAxis() {
  for (const variables of [fields, spectra]) {
    const swept = variables.flatMap(v => v.axes.filter(a => a.numeric && !a.spectral && a.quantity !== "cell" && a.values.length > 1));
    const found = swept.filter(a => ["time", "V_inj", "strength"].includes(a.quantity));
    if (swept.length) return (found.length ? found : swept).at(-1);
  }
  return null;
}
const slider = mainAxis();
function makeControls() {
  const others = {};
  for (const variable of [...fields, ...spectra])
    for (const axis of variable.axes)
      if (axis.values.length > 1 && axis.numeric && !axis.spectral && axis.quantity !== "cell" && axis.quantity !== slider?.quantity)
        others[axis.quantity] = axis;
  for (const axis of Object.values(others)) {
    const select = options(document.createElement("select"), axis.values, v => shown(v, axis.unit));
    select.id = `at-${axis.quantity}`;
    at[axis.quantity] = axis.values[0];
    select.onchange = () => { at[axis.quantity] = axis.values[select.selectedIndex]; draw(); };
    el("controls").append(label(axis.label, select));
  }
  if (!slider) return;
  const input = Object.assign(document.createElement("input"), {
    type: "range", id: "step", min: 0, max: slider.values.length - 1, value: slider.values.length - 1});
  const output = Object.assign(document.createElement("output"), {id: "step-value"});
  const play = Object.assign(document.createElement("button"), {id: "play", textContent: "▶", title: "play"});
  const set = () => {
    at[slider.quantity] = slider.values[+input.value];
    output.textContent = shown(at[slider.quantity], slider.unit);
  };
  let waiting = false;
  input.oninput = () => {
    set();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
  let timer = null;
  play.onclick = () => {
    if (timer) { clearInterval(timer); timer = null; play.textContent = "▶"; return; }
    play.textContent = "❚❚";
    timer = setInterval(() => { input.value = (+input.value + 1) % slider.values.length; input.oninput(); }, 500);
  };
  set();
  el("controls").append(play, label(slider.label, input), output);
}

// ---- device

const field = () => fields[el("field").selectedIndex];
// Numbers of triangles by region; a region is a trace, which the legend hides and shows.
const parts = [];
function makeParts() {
  const by = new Map();
  shape.cell.forEach((c, t) => {
    const r = shape.region[c];
    if (!by.has(r)) by.set(r, []);
    by.get(r).push(t);
  });
  for (const [r, triangles] of [...by].sort((a, b) => a[0] - b[0]))
    parts.push({name: r < 0 ? (by.size > 1 ? "no region" : "device") : shape.regions[r], triangles});
  for (const part of parts) {
    const n = part.triangles.length;
    part.x = new Float32Array(3 * n); part.y = new Float32Array(3 * n); part.z = new Float32Array(3 * n);
    part.low = [Infinity, Infinity, Infinity]; part.high = [-Infinity, -Infinity, -Infinity];
    part.triangles.forEach((t, k) => {
      for (let c = 0; c < 3; c++) {
        const p = 3 * shape.triangles[3 * t + c], v = 3 * k + c;
        part.x[v] = shape.points[p]; part.y[v] = shape.points[p + 1]; part.z[v] = shape.points[p + 2];
        for (let d = 0; d < 3; d++) {
          part.low[d] = Math.min(part.low[d], shape.points[p + d]);
          part.high[d] = Math.max(part.high[d], shape.points[p + d]);
        }
      }
    });
  }
}
function deviceHeight() {
  if (!flat) return 560;
  const [low, high] = [0, 1].map(d => [Math.min(...parts.map(p => p.low[d])), Math.max(...parts.map(p => p.high[d]))]).map(([l, h]) => h - l);
  return Math.min(Math.max(640 * high / Math.max(low, high) + 180, 360), 600);
}
const flat = shape !== null && (shape.kind === "line" || shape.kind === "plane");
let drawn = [];
function drawDevice() {
  const variable = field(), values = inCells(variable);
  const all = range(variable, inCells(variable, el("fixed").checked)), positive = all.low >= 0;
  const log = el("logcolour").checked && all.high > 0;
  el("logcolour").disabled = !positive;
  const end = Math.max(Math.abs(all.low), Math.abs(all.high));
  const signed = all.low < -0.01 * end;
  let [cmin, cmax] = signed ? [-end, end] : [all.low, all.high];
  if (log) [cmin, cmax] = [Math.log10(Math.max(all.least, all.high * 10 ** -DECADES)), Math.log10(all.high)];
  if (!(cmax - cmin > 1e-9 * Math.abs(cmax))) [cmin, cmax] = [cmin - (Math.abs(cmin) || 1) * 1e-3, cmax + (Math.abs(cmax) || 1) * 1e-3];
  const traces = [];
  drawn = [];
  const lighting = flat ? {ambient: 1, diffuse: 0, specular: 0} : {ambient: 0.9, diffuse: 0.2, specular: 0.01};
  for (const part of parts) {
    const there = [], none = [];
    for (const [k, t] of part.triangles.entries()) {
      const c = shape.cell[t], v = values[c];
      (coloured(variable, v, c) && !(log && v <= 0) ? there : none).push(k);
    }
    for (const [rows, grey] of [[there, false], [none, true]]) {
      if (!rows.length) continue;
      const n = 3 * rows.length;
      const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n), c = new Float32Array(n);
      const i = new Int32Array(rows.length), j = new Int32Array(rows.length), k3 = new Int32Array(rows.length);
      rows.forEach((k, row) => {
        const v = values[shape.cell[part.triangles[k]]];
        for (let corner = 0; corner < 3; corner++) {
          x[3*row + corner] = part.x[3*k + corner]; y[3*row + corner] = part.y[3*k + corner];
          z[3*row + corner] = part.z[3*k + corner];
          c[3*row + corner] = log ? Math.log10(Math.max(v, 10 ** cmin)) : v;
        }
        i[row] = 3*row; j[row] = 3*row + 1; k3[row] = 3*row + 2;
      });
      const trace = {type: "mesh3d", x, y, z, i, j, k: k3, name: escaped(part.name) + (grey ? (data.superconducting.includes(variable.name) ? " (no gap or no value)" : log ? " (0 or no value)" : " (no value)") : ""), hoverinfo: "none",
        flatshading: true, lighting, showlegend: parts.length > 1 || grey, legendgroup: part.name, color: GREY};
      if (!grey) Object.assign(trace, {intensity: c, coloraxis: "coloraxis"});
      traces.push(trace);
      drawn.push({part, rows});
    }
  }
  if (touched) traces.push({type: "scatter3d", mode: "markers", x: [touched[0]], y: [touched[1]], z: [touched[2]],
    marker: {size: 7, color: "rgba(255,255,255,0.2)", line: {color: "#d62728", width: 3}, symbol: "circle-open"}, hoverinfo: "skip", showlegend: false});
  const low = [0, 1, 2].map(d => Math.min(...parts.map(p => p.low[d]))), high = [0, 1, 2].map(d => Math.max(...parts.map(p => p.high[d])));
  const size = high.map((h, d) => h - low[d]), longest = Math.max(...size);
  const ratio = size.map(s => Math.max(s / longest, s > 0 ? 1 / LONGEST_ASPECT : 0.01));
  const stretched = ["x", "y", "z"].map((a, d) => [a, ratio[d] * longest / size[d], size[d]]).filter(([, f, s]) => s > 0 && f > 1.01 && shape.kind !== "line");
  const straight = d => shape.kind === "line" && size[d] < 0.05 * longest;
  const title = (n, d) => ({title: {text: `${n} (µm)`}, backgroundcolor: "#fff", gridcolor: "#e3e7eb", zerolinecolor: "#e3e7eb",
    showspikes: false, tickangle: 0, nticks: ratio[d] < 0.3 ? 3 : 8, visible: !(flat && d === 2) && !straight(d), range: [low[d] - 0.01 * (size[d] || longest), high[d] + 0.01 * (size[d] || longest)]});
  const bar = {title: {text: titled(variable), side: "right"}, thickness: 14, len: 0.85, ...ticks(variable.unit)};
  if (log) {
    const powers = [];
    for (let p = Math.ceil(cmin); p <= cmax; p++) powers.push(p);
    if (powers.length > 1) Object.assign(bar, {tickvals: powers, ticktext: powers.map(p => PREFIXED.includes(variable.unit) ? shown(10 ** p, variable.unit) : `10<sup>${p}</sup>`), tickformat: "", ticksuffix: ""});
    else {
      const marks = [0, 0.25, 0.5, 0.75, 1].map(s => cmin + s * (cmax - cmin));
      Object.assign(bar, {tickvals: marks, ticktext: marks.map(p => shown(10 ** p, PREFIXED.includes(variable.unit) ? variable.unit : "")), tickformat: "", ticksuffix: ""});
    }
  }
  const camera = flat ? {eye: {x: 0, y: 0, z: 2}, up: {x: 0, y: 1, z: 0}, projection: {type: "orthographic"}}
    : {eye: {x: 1.15, y: shape.kind === "shells" ? 1.15 : -1.35, z: 0.85}, projection: {type: "orthographic"}};
  // The height of an orthographic scene is a fixed length, so that a flat one is enlarged to fill its width.
  const box = el("device-plot");
  const grow = flat ? Math.min(1.45 * box.clientWidth / box.clientHeight, 1.4 / ratio[1]) : shape.kind === "shells" ? 1.15 : 1.45;
  Plotly.react("device-plot", traces, {
    font: FONT, margin: {l: 0, r: 0, t: 4, b: 0}, uirevision: "device", paper_bgcolor: "#fff",
    legend: {x: 0, y: 1, bgcolor: "rgba(255,255,255,0.7)", itemsizing: "constant"},
    coloraxis: {cmin, cmax, colorscale: signed ? DIVERGING : "Viridis", colorbar: bar},
    scene: {aspectmode: "manual", aspectratio: {x: grow * ratio[0], y: grow * ratio[1], z: grow * ratio[2]}, camera, uirevision: "scene", annotations: el("names").checked ? annotations(low, high) : [],
      dragmode: flat ? "pan" : "turntable", xaxis: title("x", 0), yaxis: title("y", 1), zaxis: title("z", 2)},
  }, OPTIONS);
  const words = [describe(cell, variable, values)];
  if (shape.kind === "shells") words.push("a quarter is left out to show the inside");
  if (stretched.length) words.push("stretched " + stretched.map(([a, f]) => `${a} × ${short(+f.toPrecision(3))}`).join(", "));
  if (shape.kind === "line") words.push("lines are drawn as ribbons");
  el("under").textContent = words.join("; ");
}
function describe(c, variable, values) {
  const region = shape.region[c] >= 0 ? `, ${shape.regions[shape.region[c]]}` : "";
  const where = shape.kind === "shells" ? `shell at r = ${short(shape.centre[3*c])} µm`
    : `cell ${c}${region} at (${[0, 1, 2].slice(0, flat ? 2 : 3).map(d => short(shape.centre[3*c + d])).join(", ")}) µm`;
  return `${where}: ${variable.name} = ${shown(values[c], variable.unit)}`;
}
// Names of regions at their middles, those of small ones and of junctions above the device, with an arrow.
function annotations(low, high) {
  const line = shape.kind === "line", longest = Math.max(...high.map((h, d) => h - low[d])), list = [];
  for (const part of parts) {
    const inside = mark => mark.at.every((v, d) => v >= part.low[d] - 1e-6 * longest && v <= part.high[d] + 1e-6 * longest);
    const small = Math.max(...part.high.map((h, d) => h - part.low[d])) < 0.1 * longest;
    // A junction that covers the region names it.
    if (part.name === "device" || part.name === "no region" || small && shape.marks.some(inside)) continue;
    list.push({at: [0, 1, 2].map(d => d === 2 ? part.high[2] : 0.5 * (part.low[d] + part.high[d])), text: escaped(part.name), colour: "#111", arrow: line || small});
  }
  for (const mark of shape.marks) list.push({at: mark.at, text: `junction ${escaped(mark.name)}`, colour: "#b2182b", arrow: true});
  list.sort((a, b) => a.at[0] - b.at[0]);
  let level = 0;
  return list.slice(0, MOST_NAMES).map(({at: [x, y, z], text, colour, arrow}) => ({x, y, z, text, font: {size: 12, color: colour}, borderpad: 1,
    bgcolor: "rgba(255,255,255,0.6)", showarrow: arrow, arrowhead: 2, arrowwidth: 1, arrowcolor: colour, ax: 0, ay: arrow ? -44 - 19 * (level++ % 4) : 0}));
}
// The cell that a point of a trace belongs to; every triangle has three vertices of its own.
function cellOf(point) {
  const found = drawn[point.curveNumber];
  if (!found) return null;
  const k = found.rows[Math.floor(point.pointNumber / 3)];
  const middle = ["x", "y", "z"].map(n => (found.part[n][3*k] + found.part[n][3*k + 1] + found.part[n][3*k + 2]) / 3);
  return {cell: shape.cell[found.part.triangles[k]], middle};
}
function choose(found) {
  before = cell;
  cell = found.cell;
  touched = found.middle;
  draw();
}

// ---- curves

// Distance of the ticks of a logarithmic axis.
function decades(values) {
  const good = values.filter(v => v > 0 && isFinite(v)), high = Math.max(...good);
  const many = good.length ? Math.min(Math.log10(high / Math.min(...good)), 10) : 1;
  return many > 1.5 ? Math.max(Math.round(many / 6), 1) : "D2";
}
function panel(id, list, {xTitle, yTitle, xUnit = "", yUnit = "", xLog = false, yLog = false, marker = null, x}) {
  const traces = list.map((curve, i) => ({type: "scatter", mode: curve.x.length < 60 ? "lines+markers" : "lines", x: curve.x, y: curve.y,
    name: escaped(curve.label || ""), line: {color: curve.colour || COLOURS[i % COLOURS.length], width: 1.8, dash: curve.dash}, marker: {size: 4}, connectgaps: false}));
  const shapes = typeof marker !== "number" || (xLog && !(marker > 0)) ? [] : [{type: "line", x0: marker, x1: marker, yref: "paper", y0: 0, y1: 1, line: {color: "#d62728", width: 1, dash: "dot"}}];
  const axis = (text, unit, log, values) => ({title: {text, font: {size: 12}}, type: log ? "log" : "linear", gridcolor: "#eceff2", zerolinecolor: "#c5ccd3", linecolor: "#8d98a3",
    automargin: true, ...ticks(unit), ...(log ? {dtick: decades(values)} : {})});
  const bars = typeof list[0]?.x[0] === "string";
  if (bars) traces.forEach(trace => Object.assign(trace, {type: "bar", marker: {color: trace.line.color}, line: undefined, mode: undefined}));
  const y = axis(yTitle, yUnit, yLog, list.flatMap(c => c.y));
  const finite = list.flatMap(c => c.y).filter(isFinite), level = Math.max(...finite);
  // Rounding is no structure of what is the same everywhere.
  if (!yLog && !bars && finite.length && level !== 0 && level - Math.min(...finite) <= 1e-9 * Math.abs(level)) y.range = [level - 0.02 * Math.abs(level), level + 0.02 * Math.abs(level)];
  if (yLog) {
    // Underflows would stretch a logarithmic axis over everything.
    const good = list.flatMap(c => c.y).filter(v => v > 0 && isFinite(v));
    const high = Math.max(...good), low = Math.max(Math.min(...good), high * 1e-10);
    if (good.length) y.range = [Math.log10(low) - 0.2, Math.log10(high) + 0.2];
  }
  Plotly.react(id, traces, {font: FONT, margin: {l: 62, r: 12, t: 26, b: 44}, shapes, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
    showlegend: list.some(c => c.label), legend: {font: {size: 11}, bgcolor: "rgba(255,255,255,0.7)"}, xaxis: bars ? {title: {text: xTitle}, type: "category", automargin: true} : axis(xTitle, xUnit, xLog, list.flatMap(c => c.x)), yaxis: y}, OPTIONS);
}
const over = variable => variable.axes.filter(a => a.values.length > 1 && a.numeric);
function curveAxes() {
  const variable = curves[el("curve").selectedIndex];
  const list = over(variable).length ? over(variable) : variable.axes.filter(a => a.values.length > 1);
  return {variable, list};
}
function chooseCurve() {
  const {variable, list} = curveAxes();
  const preferred = list.findIndex(a => a.quantity === slider?.quantity);
  options(el("over"), list, a => a.label, preferred < 0 ? list.length - 1 : preferred);
  chooseScales(variable, list[el("over").selectedIndex]);
}
function chooseScales(variable, x) {
  el("logx").checked = x.numeric && spans(x.values.filter(v => v !== 0));
  el("logy").checked = x.quantity === "time" && spans(Array.from(variable.values).filter(v => v !== 0 && isFinite(v)));
}
function drawCurve() {
  const {variable, list} = curveAxes();
  const x = list[Math.max(el("over").selectedIndex, 0)];
  panel("curve-plot", family(variable, x, true), {xTitle: axisTitle(x), yTitle: titled(variable),
    xUnit: x.unit, yUnit: variable.unit, xLog: el("logx").checked, yLog: el("logy").checked, marker: x.quantity in at ? at[x.quantity] : null});
}

// ---- spectra

// N(E) of BCS at the gap of the cell, at energies beside those of the results.
const bcs = {bcs: true, name: "N", label: "density of states N(E), BCS at this gap", unit: "", axes: []};
const spectrumChoices = () => data.bcs ? [...spectra, bcs] : spectra;
function gapHere() {
  const own = data.variables.find(v => v.name === "gap");
  if (!own) return NaN;
  if (own.axes.some(a => a.quantity === "cell")) return inCells(own)[cell];
  const x = own.axes.find(a => a.quantity === slider?.quantity) || own.axes[0];
  return own.axes.length ? family(own, x, false)[0]?.y[place(x)] : NaN;
}
function bcsCurve() {
  const gap = gapHere() / data.delta0;
  if (!isFinite(gap)) return {gap, list: []};
  const end = Math.max(...Object.values(data.axes).filter(a => a.quantity === "energy").flatMap(a => a.values), 2);
  const x = [], y = [];
  if (gap > 0) { x.push(0, gap * (1 - 1e-9)); y.push(0, 0); }
  for (let i = 1; i <= 240; i++) {
    const e = gap + (end - gap) * (i / 240) ** 2;
    x.push(e);
    y.push(e / Math.sqrt(e * e - gap * gap));
  }
  return {gap, list: [{x, y, label: ""}]};
}
function drawSpectrum(number) {
  const variable = spectrumChoices()[el(`spectrum${number}`).selectedIndex], id = `spectrum-plot${number}`, log = el(`log${number}`).checked;
  if (variable.bcs) {
    const {gap, list} = bcsCurve();
    panel(id, list, {xTitle: axisTitle({quantity: "energy", label: "energy", unit: "eV"}), yTitle: isFinite(gap) ? `N(E), gap ${short(gap)} Δ₀` : "N(E): no gap here", yLog: log});
    if (!log && list.length) Plotly.relayout(id, {"yaxis.range": [0, 5]});
    return;
  }
  const x = variable.axes.find(a => a.spectral);
  const list = family(variable, x, false), gap = data.bcs && variable.name === "f" ? gapHere() / data.delta0 : 0;
  // Below the gap there are no states, whatever their occupation.
  for (const curve of list) curve.y = curve.y.map((v, i) => curve.x[i] < gap ? NaN : v);
  panel(id, list, {xTitle: axisTitle(x), xUnit: x.unit, xLog: x.quantity === "frequency", yTitle: titled(variable), yUnit: variable.unit, yLog: log});
}
function chooseSpectrum(number) {
  const variable = spectrumChoices()[el(`spectrum${number}`).selectedIndex];
  el(`log${number}`).checked = !variable.bcs && ["f", "n"].includes(variable.name) || !variable.bcs && variable.axes.some(a => a.quantity === "frequency");
}
function drawSpectra() {
  const ofCells = spectra.find(v => v.axes.some(a => a.quantity === "cell"));
  if (ofCells) {
    const axis = ofCells.axes.find(a => a.quantity === "cell"), id = axis.values[nearestCell(axis)];
    const r = id === cell ? "" : " (the nearest one that is stored)";
    el("spectrum-of").textContent = (shape.kind === "shells" ? `shell at r = ${short(shape.centre[3*id])} µm` : `cell ${id}${shape.region[id] >= 0 ? ", " + shape.regions[shape.region[id]] : ""}`) + r
      + (slider && ofCells.axes.some(a => a.quantity === slider.quantity) ? `, ${shown(at[slider.quantity], slider.unit)}` : "");
  } else if (slider) el("spectrum-of").textContent = shown(at[slider.quantity], slider.unit);
  for (const number of [1, 2]) drawSpectrum(number);
}

// ---- line cuts

const LINES = [];
function makeLines() {
  if (shape.kind === "shells") { LINES.push({text: "along the radius", axis: 0}); return; }
  const n = shape.centre.length / 3;
  for (let d = 0; d < 3; d++) {
    let low = Infinity, high = -Infinity;
    for (let c = 0; c < n; c++) { low = Math.min(low, shape.centre[3*c + d] - shape.half[3*c + d]); high = Math.max(high, shape.centre[3*c + d] + shape.half[3*c + d]); }
    if (high > low) LINES.push({text: `along ${"xyz"[d]} through the cell`, axis: d, low, high});
  }
  LINES.sort((a, b) => (b.high - b.low) - (a.high - a.low));
  LINES.push({text: "between the last two cells clicked", axis: -1});
}
const SAMPLES = 400;
function samples(line) {
  const c = shape.centre, from = [0, 1, 2].map(d => c[3*cell + d]), to = [...from];
  if (line.axis >= 0) { from[line.axis] = line.low; to[line.axis] = line.high; }
  else if (before !== null) for (let d = 0; d < 3; d++) from[d] = c[3*before + d];
  const length = Math.hypot(...to.map((v, d) => v - from[d])), out = [];
  for (let i = 0; i <= SAMPLES; i++) {
    const p = from.map((v, d) => v + (to[d] - v) * i / SAMPLES);
    out.push({p, s: line.axis >= 0 ? p[line.axis] : length * i / SAMPLES});
  }
  return out;
}
// The cell at a point: that of the triangle in a plane, else the one whose box holds the point best; −1 for none.
function cellAt(p) {
  if (shape.kind === "plane") {
    const t3 = shape.triangles, q = shape.points;
    for (let t = 0; t < shape.cell.length; t++) {
      const a = 3*t3[3*t], b = 3*t3[3*t + 1], c = 3*t3[3*t + 2];
      const u = (q[b] - q[a]) * (p[1] - q[a + 1]) - (q[b + 1] - q[a + 1]) * (p[0] - q[a]);
      const v = (q[c] - q[b]) * (p[1] - q[b + 1]) - (q[c + 1] - q[b + 1]) * (p[0] - q[b]);
      const w = (q[a] - q[c]) * (p[1] - q[c + 1]) - (q[a + 1] - q[c + 1]) * (p[0] - q[c]);
      if ((u >= 0 && v >= 0 && w >= 0) || (u <= 0 && v <= 0 && w <= 0)) return shape.cell[t];
    }
    return -1;
  }
  let best = -1, least = 1.02;
  const {centre, half} = shape, extent = LINES[0].high - LINES[0].low;
  for (let c = 0; c < centre.length / 3; c++) {
    let most = 0;
    for (let d = 0; d < 3 && most < least; d++) most = Math.max(most, Math.abs(p[d] - centre[3*c + d]) / (half[3*c + d] + 1e-6 * extent));
    if (most < least) { least = most; best = c; }
  }
  return best;
}
let cutKey = "", cutCells = [];
function drawCut() {
  const line = LINES[el("line").selectedIndex], variable = field(), values = inCells(variable);
  const xTitle = shape.kind === "shells" ? "r (µm)" : line.axis >= 0 ? `${"xyz"[line.axis]} (µm)` : "distance (µm)";
  let x, y, marker = line.axis >= 0 ? shape.centre[3*cell + line.axis] : null;
  if (shape.kind === "shells") {
    x = Array.from({length: shape.centre.length / 3}, (_, c) => shape.centre[3*c]);
    y = x.map((_, c) => values[c]);
  } else {
    const key = `${el("line").selectedIndex} ${cell} ${before}`;
    if (key !== cutKey) { cutKey = key; cutCells = samples(line).map(({p, s}) => ({s, c: cellAt(p)})); }
    const seen = cutCells.filter(({c}, i) => i === 0 || c !== cutCells[i - 1].c);
    // The cells of a line are told apart: their values stand at their centres.
    if (shape.kind === "line" && line.axis >= 0) cutCells = seen.map(({s, c}) => ({s: c < 0 ? s : shape.centre[3*c + line.axis], c}));
    x = cutCells.map(({s}) => s);
    y = cutCells.map(({c}) => c < 0 ? NaN : values[c]);
  }
  panel("cut-plot", [{x, y, label: ""}], {xTitle, yTitle: titled(variable), yUnit: variable.unit,
    yLog: el("logcolour").checked && !el("logcolour").disabled, marker});
}

// ---- page

function draw() {
  if (fields.length) { drawDevice(); drawCut(); }
  if (spectra.length) drawSpectra();
  if (curves.length) drawCurve();
}
function begin() {
  el("title").textContent = data.title;
  el("where").textContent = [data.model && `model ${data.model}`, data.folder, data.source].filter(Boolean).join(" · ");
  el("notes").replaceChildren(...data.notes.map(note => Object.assign(document.createElement("li"), {textContent: note})));
  makeControls();
  el("device").hidden = el("cut").hidden = !fields.length;
  el("spectra").hidden = !spectra.length;
  el("curves").hidden = !curves.length;
  el("panels").classList.toggle("plain", !fields.length);
  el("panels").classList.toggle("single", !fields.length && !spectra.length);
  if (fields.length) {
    findGapless();
    const varies = v => { const {low, high} = range(v, v.values); return high - low > 1e-9 * Math.abs(high); };
    const first = fields.findIndex(varies), liked = fields.findIndex(v => ["n_qp_cell", "charge_imbalance"].includes(v.name) && varies(v));
    const favourite = liked >= 0 ? liked : first;
    options(el("field"), fields, named, Math.max(favourite, 0));
    makeParts();
    makeLines();
    el("device-plot").style.height = `${deviceHeight()}px`;
    options(el("line"), LINES, line => line.text);
    const chooseField = () => { const {low, high, least} = range(field(), field().values); el("logcolour").checked = low >= 0 && high > LOGARITHMIC * least; };
    chooseField();
    el("field").onchange = () => { chooseField(); draw(); };
    for (const id of ["logcolour", "fixed", "names", "line"]) el(id).onchange = draw;
    // Begin with the cell of the largest value.
    const values = inCells(field());
    values.forEach((v, c) => { if (coloured(field(), v, c) && !(coloured(field(), values[cell], cell) && Math.abs(v) <= Math.abs(values[cell]))) cell = c; });
  }
  if (spectra.length) {
    const choices = spectrumChoices(), find = names => choices.findIndex(v => names.includes(v.name) && (!fields.length || v.bcs || v.axes.some(a => a.quantity === "cell") || v.name !== "f"));
    const first = Math.max(find(["f", "f_L"]), 0), wanted = find(["dos", "N"]), second = wanted >= 0 && wanted !== first ? wanted : (first + 1) % choices.length;
    el("second").hidden = choices.length < 2;
    [[1, first], [2, second]].forEach(([number, chosen]) => {
      options(el(`spectrum${number}`), choices, named, chosen);
      chooseSpectrum(number);
      el(`spectrum${number}`).onchange = () => { chooseSpectrum(number); drawSpectrum(number); };
      el(`log${number}`).onchange = () => drawSpectrum(number);
    });
  }
  if (curves.length) {
    const wanted = [...data.prefer, "x_qp", "g_nl", "g_ss", "n_qp"].map(name => curves.findIndex(v => v.name === name)).find(i => i >= 0);
    options(el("curve"), curves, named, wanted ?? Math.max(curves.findIndex(v => over(v).length), 0));
    chooseCurve();
    el("curve").onchange = () => { chooseCurve(); drawCurve(); };
    el("over").onchange = () => { const {variable, list} = curveAxes(); chooseScales(variable, list[el("over").selectedIndex]); drawCurve(); };
    for (const id of ["logx", "logy"]) el(id).onchange = drawCurve;
  }
  draw();
  if (fields.length) {
    const plot = el("device-plot");
    plot.on("plotly_click", event => { const found = cellOf(event.points[0]); if (found) choose(found); });
    plot.on("plotly_hover", event => { const found = cellOf(event.points[0]); if (found) el("under").textContent = describe(found.cell, field(), inCells(field())); });
  }
  if (!fields.length && !spectra.length && !curves.length) el("panels").textContent = "These results hold nothing over an axis.";
  document.body.dataset.ready = "1";
}
begin();
})();
