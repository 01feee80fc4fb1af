// The page: the slider over moments, the networks switched on and off, the panels of every setting, the table.

const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const shown = new Set(data.networks.map((_, i) => i));
let moment = 0, quantity = "grad_h";

const lastStep = Math.max(1, data.moments[data.moments.length - 1]);
const stepPlace = (step) => Math.log1p(step * 1.5) / Math.log1p(lastStep * 1.5);
const extent = (values) => {
  const known = values.flat(2).filter((value) => value !== null && value !== undefined);
  const low = Math.min(...known, 1e9), high = Math.max(...known, -1e9);
  if (low > high) return [-1, 1];
  const room = Math.max(0.25, (high - low) * 0.05);
  return [low - room, high + room];
};
const range = {};  // of each quantity, over all networks and moments: panels and moments can be compared
for (const name of Object.keys(data.quantities)) {
  range[name] = extent(data.networks.map((network) => network.moments.flatMap((one) => one[name])));
}
range.ratio = extent(data.networks.map((network) => network.moments.map((one) => one.ratio)));
range.loss = extent([...data.networks.map((network) => network.losses), [[Math.log10(data.guessing)]]]);

function networksOf(setting) {
  return data.networks.filter((network, i) => network.setting === setting && shown.has(i));
}

function layersChart(setting) {
  const names = quantity === "grad_h" ? "outputs" : "weights";
  const lines = networksOf(setting).flatMap((network) => {
    const one = network.moments.find((candidate) => candidate.step === data.moments[moment]);
    if (!one) return [];
    const [mean, low, high] = one[quantity];
    return [{network, x: mean.map((_, i) => i), mean, low: one.seeds > 1 ? low : null, high}];
  });
  const last = Math.max(1, ...lines.map((line) => line.x.length - 1));
  const every = Math.max(1, Math.ceil(last / 8));
  const ticks = Array.from({length: Math.floor(last / every) + 1}, (_, i) => i * every);
  const deepest = networksOf(setting).reduce((best, network) => network[names].length > best.length ? network[names] : best, []);
  return {lines, range: range[quantity], place: (x) => x / last, ticks, xlabel: data.quantities[quantity].xlabel,
    name: (x) => `${data.quantities[quantity].place} ${x}${lines.length === 1 || x === 0 ? `, ${deepest[x]}` : ""}, ${whenOf(moment)}`};
}

function ratioChart(setting) {
  const lines = networksOf(setting).map((network) => ({network, x: network.moments.map((one) => one.step),
    mean: network.moments.map((one) => one.ratio[0]), low: network.moments.map((one) => one.ratio[1]),
    high: network.moments.map((one) => one.ratio[2])}));
  return {lines, range: range.ratio, place: stepPlace, ticks: thinned(data.moments), xlabel: "step", now: data.moments[moment],
    near: true, level: 0, levelName: "grey: within a factor of 100", name: (x) => `after ${x} steps`};
}

function lossChart(setting) {
  const lines = networksOf(setting).filter((network) => network.losses[0].length).map((network) => ({network,
    x: network.losses[0].map((_, i) => i + 1), mean: network.losses[0], low: network.trained > 1 ? network.losses[1] : null,
    high: network.losses[2]}));
  return {lines, range: range.loss, place: stepPlace, ticks: thinned(data.moments), xlabel: "step", now: data.moments[moment],
    level: Math.log10(data.guessing), levelName: "guessing", name: (x) => `step ${x}`};
}

function thinned(steps) {
  const kept = [];
  for (const step of steps) {
    if (!kept.length || stepPlace(step) - stepPlace(kept[kept.length - 1]) > 0.07) kept.push(step);
  }
  return kept;
}

const whenOf = (index) => data.moments[index] === 0 ? "before training" : `after ${data.moments[index]} step${data.moments[index] === 1 ? "" : "s"}`;
const charts = {layers: layersChart, ratio: ratioChart, loss: lossChart};

function makePanels() {
  data.settings.forEach((words, setting) => {
    const head = document.createElement("h2");
    head.textContent = words;
    by("panels").append(head);
    for (const kind of data.trained ? ["layers", "ratio", "loss"] : ["layers"]) {
      const figure = document.createElement("figure");
      figure.dataset.kind = kind;
      figure.dataset.setting = setting;
      const caption = document.createElement("figcaption"), values = document.createElement("div");
      values.className = "values";
      values.setAttribute("aria-live", "polite");
      figure.append(caption, document.createElementNS(SVG, "svg"), values);
      figure.setAttribute("aria-label", `${kind}, ${words}`);
      keys(figure);
      by("panels").append(figure);
    }
  });
}

function render() {
  by("when").textContent = whenOf(moment);
  by("moment").setAttribute("aria-valuetext", whenOf(moment));
  for (const figure of document.querySelectorAll("figure")) {
    const kind = figure.dataset.kind;
    figure.querySelector("figcaption").textContent = kind === "layers" ? `${data.quantities[quantity].title}, ${whenOf(moment)}`
      : kind === "ratio" ? "Gradient at the stem over that at the last block" : "Training loss of each batch";
    draw(figure, charts[kind](Number(figure.dataset.setting)));
  }
  table();
}

function table() {
  const when = whenOf(moment);
  const heads = ["network", "before training", `${when}`, "loss of the batch then", "loss at the end", "test accuracy", "seeds trained"];
  const head = document.createElement("tr");
  for (const words of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = words;
    head.append(cell);
  }
  const rows = data.networks.map((network, i) => {
    const row = document.createElement("tr");
    row.className = shown.has(i) ? "" : "off";
    const then = network.moments.find((one) => one.step === data.moments[moment]);
    const cells = [network.label, range3(network.moments[0].ratio), then ? range3(then.ratio) : "none",
      then ? number(then.loss) : "none", fixed(network.summary.train_loss, 3), percent(network.summary.test_accuracy),
      `${network.trained}${network.diverged ? `, ${network.diverged} diverged` : ""}`];
    for (const words of cells) {
      const cell = document.createElement("td");
      cell.textContent = words;
      row.append(cell);
    }
    return row;
  });
  by("table").replaceChildren(head, ...rows);
}

const fixed = (value, digits) => value === null ? "none" : value.toFixed(digits);
const percent = (value) => value === null ? "none" : `${(100 * value).toFixed(1)} %`;
const range3 = ([mean, low, high]) => mean === null ? "none" : low === high ? `10^${mean.toFixed(2)}`
  : `10^${mean.toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`;

function makeControls() {
  by("facts").textContent = data.facts;
  by("command").textContent = data.command;
  by("moment").max = data.moments.length - 1;
  by("moment").addEventListener("input", () => { moment = Number(by("moment").value); render(); });
  for (const [name, words] of Object.entries(data.quantities)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words.title;
    button.dataset.quantity = name;
    button.setAttribute("aria-pressed", name === quantity);
    button.addEventListener("click", () => {
      quantity = name;
      for (const other of by("quantities").children) other.setAttribute("aria-pressed", other === button);
      render();
    });
    by("quantities").append(button);
  }
  data.networks.forEach((network, i) => {
    const line = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => { box.checked ? shown.add(i) : shown.delete(i); render(); });
    const swatch = document.createElementNS(SVG, "svg");
    swatch.setAttribute("viewBox", "0 0 34 12");
    swatch.setAttribute("aria-hidden", "true");
    element("line", {x1: 0, x2: 34, y1: 6, y2: 6, stroke: network.color, "stroke-width": 3, "stroke-dasharray": network.dash}, swatch);
    const words = document.createElement("span");
    words.textContent = network.label;
    line.append(box, swatch, words);
    by("networks").append(line);
  });
  for (const sentence of data.verdict) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence.trim();
    if (sentence.startsWith(" ")) paragraph.className = "in";
    by("verdict").append(paragraph);
  }
}

makeControls();
makePanels();
render();
addEventListener("resize", render);
