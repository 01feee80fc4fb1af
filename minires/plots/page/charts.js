// One chart: lines with bands over a logarithmic axis, a cursor that the pointer or the arrow keys move.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52, RIGHT = 12, TOP = 8, BOTTOM = 34;

function element(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function number(log) {
  if (log === null || log === undefined) return "none";
  const value = 10 ** log;
  return value >= 0.01 && value < 1000 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

// Ticks of a logarithmic axis from low to high: every power, or 1, 2, 5 where there are few.
function ticksOf(low, high) {
  const ticks = [], span = high - low, every = Math.max(1, Math.ceil(span / 8));
  for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
    if (power % every === 0) ticks.push(power);
    if (span < 2.5) ticks.push(power + Math.log10(2), power + Math.log10(5));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

function label(log) {
  const power = Math.round(log);
  if (Math.abs(log - power) > 1e-9 || Math.abs(power) <= 2) return String(Number((10 ** log).toPrecision(1)));
  return `1e${power}`;
}

// lines: [{network, x: [...], mean: [...], low: [...], high: [...]}], y as log10, null where there is no number.
function draw(figure, chart) {
  const svg = figure.querySelector("svg");
  svg.replaceChildren();
  const width = Math.max(240, svg.clientWidth), height = Math.max(160, svg.clientHeight);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [low, high] = chart.range;
  const xOf = (x) => LEFT + (chart.place(x) * (width - LEFT - RIGHT));
  const yOf = (log) => TOP + (high - log) / (high - low) * (height - TOP - BOTTOM);
  if (chart.near) {
    const top = yOf(Math.min(2, high)), bottom = yOf(Math.max(-2, low));
    if (bottom > top) element("rect", {class: "near", x: LEFT, y: top, width: width - LEFT - RIGHT, height: bottom - top}, svg);
  }
  for (const tick of ticksOf(low, high)) {
    element("line", {class: "grid", x1: LEFT, x2: width - RIGHT, y1: yOf(tick), y2: yOf(tick)}, svg);
    element("text", {x: LEFT - 6, y: yOf(tick) + 4, "text-anchor": "end"}, svg, label(tick));
  }
  for (const tick of chart.ticks) {
    element("text", {x: xOf(tick), y: height - BOTTOM + 15, "text-anchor": "middle"}, svg, String(tick));
  }
  element("line", {class: "axis", x1: LEFT, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM}, svg);
  element("text", {x: (LEFT + width) / 2, y: height - 5, "text-anchor": "middle"}, svg, chart.xlabel);
  if (chart.level !== undefined && chart.level >= low && chart.level <= high) {
    element("line", {class: "axis", x1: LEFT, x2: width - RIGHT, y1: yOf(chart.level), y2: yOf(chart.level)}, svg);
    const y = chart.near ? height - BOTTOM - 5 : yOf(chart.level) - 4;
    element("text", {x: width - RIGHT, y, "text-anchor": "end"}, svg, chart.levelName);
  }
  if (chart.now !== undefined) {
    element("line", {class: "now", x1: xOf(chart.now), x2: xOf(chart.now), y1: TOP, y2: height - BOTTOM}, svg);
  }
  for (const line of chart.lines) {
    const known = line.x.map((_, i) => i).filter((i) => line.mean[i] !== null);
    if (line.low && known.length) {
      const up = known.map((i) => `${xOf(line.x[i])},${yOf(line.high[i])}`);
      const down = known.map((i) => `${xOf(line.x[i])},${yOf(line.low[i])}`).reverse();
      element("polygon", {class: "band", fill: line.network.color, points: [...up, ...down].join(" ")}, svg);
    }
    const attributes = {class: "line", stroke: line.network.color, "stroke-dasharray": line.network.dash,
      points: known.map((i) => `${xOf(line.x[i])},${yOf(line.mean[i])}`).join(" ")};
    element("polyline", attributes, svg);
    if (known.length === 1) element("circle", {cx: xOf(line.x[known[0]]), cy: yOf(line.mean[known[0]]), r: 3, fill: line.network.color}, svg);
  }
  const all = [...new Set(chart.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  figure.positions = all;
  figure.show = (x) => show(figure, chart, svg, x, xOf, height);
  if (figure.at !== undefined && all.includes(figure.at)) figure.show(figure.at);
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect(), pixel = (event.clientX - box.left) * width / box.width;
    if (all.length) figure.show(all.reduce((best, x) => Math.abs(xOf(x) - pixel) < Math.abs(xOf(best) - pixel) ? x : best));
  };
}

function show(figure, chart, svg, x, xOf, height) {
  figure.at = x;
  svg.querySelector(".cursor")?.remove();
  element("line", {class: "cursor", x1: xOf(x), x2: xOf(x), y1: TOP, y2: height - BOTTOM}, svg);
  const values = figure.querySelector(".values");
  values.replaceChildren();
  const head = document.createElement("div");
  head.textContent = chart.name(x);
  values.append(head);
  for (const line of chart.lines) {
    const i = line.x.indexOf(x);
    if (i < 0) continue;
    const row = document.createElement("div"), dot = document.createElement("span");
    dot.textContent = "■";
    dot.style.color = line.network.color;
    const band = line.low && line.low[i] !== line.high[i] ? ` (${number(line.low[i])} … ${number(line.high[i])})` : "";
    const words = document.createElement("span");
    words.textContent = `${line.network.label}: ${number(line.mean[i])}${band}`;
    row.append(dot, words);
    values.append(row);
  }
}

function keys(figure) {
  figure.tabIndex = 0;
  figure.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9}[event.key];
    if (step === undefined || event.target !== figure || !figure.positions.length) return;
    event.preventDefault();
    const last = figure.positions.length - 1, from = figure.positions.indexOf(figure.at);
    figure.show(figure.positions[Math.min(last, Math.max(0, from + step))]);
  });
}
