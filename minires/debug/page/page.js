// The page: reads the record, keeps the current step, and answers keys and buttons.

const passes = JSON.parse(byId("record").textContent).passes;
const pass = passes[0];
const scale = new NormScale(passes.flatMap(one => one.ops.map(op => one.arrays[op.grad_y].norm)));
let step = 0, playing = null;

const chart = new Chart(byId("chart"), passes, scale, goTo);
const details = new Details(byId("details"), remember);
const graphs = passes.map((one, which) => new Graph(one, scale, chosen => goTo(which ? one.to_main[chosen] : chosen)));
document.body.classList.toggle("twins", passes.length > 1);
for (const graph of graphs) {
  const holder = element("div", { class: "graph" });
  if (passes.length > 1) holder.append(element("h2", {}, graph.pass.name));
  holder.append(graph.drawn);
  byId("graphs").append(holder);
}

function goTo(wanted) {
  step = Math.min(Math.max(0, wanted), pass.ops.length - 1);
  const others = passes.slice(1).map(other => other.from_main[step]);
  graphs.forEach((graph, which) => graph.goTo(which ? others[which - 1] : step));
  chart.mark(step, others);
  const op = pass.ops[step], twin = passes[1];
  details.show(pass, step, twin && { pass: twin, op: twin.ops[others[0]] });
  const place = `step ${step + 1} of ${pass.ops.length}: ${op.path ? op.path + " " : ""}${op.op}, gradient norm ${show(pass.arrays[op.grad_y].norm)}`;
  byId("place").textContent = place;
  chart.slider.setAttribute("aria-valuetext", place);
  byId("first").disabled = byId("back").disabled = step === 0;
  byId("last").disabled = byId("next").disabled = step === pass.ops.length - 1;
  if (step === pass.ops.length - 1) play(false);
  remember();
}

// The address holds the step, counted from 1 as the page does, the line if it is not the last, and the gradient that is shown.
function remember() {
  if (details.step === undefined) return;
  const entries = new URLSearchParams({ step: details.step + 1 }), lines = pass.ops[details.step].lines;
  if (lines.length && details.line < lines.length - 1) entries.set("line", lines[details.line].line);
  if (details.chosen !== "grad_y") entries.set("grad", details.chosen);
  try {
    history.replaceState(null, "", "#" + entries);
  } catch {} // in a notebook's frame, which has no address
}

function readAddress() {
  const entries = new URLSearchParams(location.hash.slice(1)), wanted = Number(entries.get("step"));
  if (!Number.isInteger(wanted)) return goTo(0);
  details.chosen = entries.get("grad") || "grad_y";
  const line = Number(entries.get("line"));
  goTo(wanted - 1);
  const at = pass.ops[step].lines.findLastIndex(one => one.line === line);
  if (at >= 0) details.stepLine(at - details.line);
}

// To the next op whose innermost group is another one.
function goToBlock(direction) {
  const inner = graphs[0].groups.filter(group => group.children.some(row => !row.children));
  const blockOf = at => inner.filter(group => group.first <= at && at <= group.last).at(-1);
  const here = blockOf(step);
  let at = step;
  while (at + direction >= 0 && at + direction < pass.ops.length) {
    at += direction;
    if (blockOf(at) !== here) break;
  }
  const there = blockOf(at);
  goTo(direction < 0 && there && there !== here ? there.first : at);
}

function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => goTo(step + 1), Math.max(60, Math.min(350, 30000 / pass.ops.length))) : null;
  byId("play").setAttribute("aria-pressed", on);
  byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
  byId("play").querySelector("path").setAttribute("d", on ? "M3 3h4v10H3zM9 3h4v10H9z" : "M1.5 3v10l6.5-5zM8 3v10l6.5-5z");
}

function togglePlay() {
  if (playing === null && step === pass.ops.length - 1) goTo(0);
  play(playing === null);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if (details.pass) details.show(details.pass, details.step, details.beside); // heat maps are painted in the theme's colours
}

function toggleTheme() {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

const expandAll = () => graphs.forEach(graph => graph.toggleAll(true));
const collapseAll = () => graphs.forEach(graph => graph.toggleAll(false));

const buttons = {
  first: () => goTo(0), back: () => goTo(step - 1), play: togglePlay, next: () => goTo(step + 1), last: () => goTo(pass.ops.length - 1),
  expand: expandAll, collapse: collapseAll, theme: toggleTheme, help: () => byId("keys").showModal(),
};
const search = new Search(byId("search"), passes[0], graphs[0].groups, goTo);
for (const id in buttons) byId(id).addEventListener("click", buttons[id]);

const keys = {
  ArrowRight: () => goTo(step + 1), ArrowLeft: () => goTo(step - 1), ArrowDown: () => goTo(step + 1), ArrowUp: () => goTo(step - 1),
  Home: () => goTo(0), End: () => goTo(pass.ops.length - 1), n: () => goToBlock(1), p: () => goToBlock(-1),
  e: expandAll, c: collapseAll, d: toggleTheme, " ": togglePlay, "?": () => byId("keys").showModal(), "/": () => search.focus(),
};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (byId("keys").open) {
    if (event.key !== "?") return;
    event.preventDefault();
    return byId("keys").close();
  }
  if (event.target.closest("#search")) return; // letters are for the search
  const target = event.target, lines = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (event.shiftKey && lines) {
    event.preventDefault();
    details.stepLine(lines);
  } else if (event.key in keys) {
    if (event.key === " " && target.closest("button")) return;
    if (target.matches("pre, .scroll") && event.key.startsWith("Arrow")) return; // they scroll
    event.preventDefault();
    keys[event.key]();
  }
});

const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
setTheme(dark.matches ? "dark" : "light");

// The legend: a wedge as wide and as coloured as edges are.
const wedge = drawing("svg", { viewBox: "0 0 132 14", role: "img", "aria-label": "Edges are wide where the gradient is large" });
for (let i = 0; i < 33; i++) {
  const norm = 10 ** (scale.low + (i + .5) / 33 * (scale.high - scale.low)), width = scale.width(norm);
  const piece = drawing("rect", { x: 4 * i, y: 7 - width / 2, width: 4.2, height: width });
  piece.style.fill = scale.color(norm);
  wedge.append(piece);
}
byId("legend").append(wedge, element("div", {}, element("span", {}, powerOfTen(scale.low)), element("span", {}, "norm"), element("span", {}, powerOfTen(scale.high))));

const parts = passes.map(one => `${one.name ? one.name + ": " : ""}loss ${show(one.loss)}`);
byId("summary").textContent = `${parts.join(", ")}; the backward pass, ${pass.ops.length} operations from the loss to the input`;
const broken = pass.ops.findIndex(op => typeof pass.arrays[op.grad_y].norm === "string");
if (broken >= 0) {
  const jump = element("button", { type: "button" }, `step ${broken + 1}: the first gradient with NaN or ∞`);
  jump.addEventListener("click", () => goTo(broken));
  byId("summary").append(jump);
}
new ResizeObserver(() => document.documentElement.style.setProperty("--top", byId("walk").offsetHeight + 16 + "px")).observe(byId("walk"));
addEventListener("hashchange", readAddress);
readAddress();
