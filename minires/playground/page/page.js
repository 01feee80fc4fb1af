// Brings the parts together: switches → worker → charts, sentence and address.

const MOST_GHOSTS = 5;
const REST = 600; // milliseconds without a move, after which settings count as chosen and not as passed by

// What is seen: the newest result, and as ghosts those that were chosen before. A result is {settings, layers, norm_h,
// norm_grad, milliseconds}; `kept` are the chosen ones, the newest last.
let now = null, kept = [], ghosts = [];
let marked = null, resting = null; // the layer that is pointed at; the timer of a slider
let language = "en", words = WORDS.en;
let address = readAddress();

// chosen: the settings stay, and those before become a ghost; else they are only passed by, as by a slider on its way.
async function compute(settings, chosen) {
  controls.show(settings);
  busy(1);
  const result = await ask(settings);
  if (result) {
    now = { settings, ...result };
    if (chosen) keep();
    show(chosen);
  }
  busy(-1);
}

let running = 0;
function busy(by) {
  running += by;
  byId("result").setAttribute("aria-busy", running > 0);
}

function keep() {
  clearTimeout(resting);
  kept = [...othersThan(now), now].slice(-MOST_GHOSTS - 1);
}

const othersThan = result => kept.filter(one => !sameSettings(one.settings, result.settings));

function change(key, value, passing) {
  const settings = valid({ ...controls.settings, [key]: value });
  clearTimeout(resting);
  if (passing) resting = setTimeout(() => rest(settings), REST);
  compute(settings, !passing);
}

// A slider has come to rest.
function rest(settings) {
  if (now && sameSettings(now.settings, settings)) {
    keep();
    show(false);
  } else compute(settings, true);
}

const gradient = result => result.norm_grad.map(norm => norm / result.norm_grad.at(-1));
const size = result => result.norm_h.map(norm => norm / Math.sqrt(N * result.settings.width));

const charts = {
  backward: new LogChart(document.querySelector("#backward .chart"), { sweep: "right", onMark: mark }),
  forward: new LogChart(document.querySelector("#forward .chart"), { sweep: "left", onMark: mark }),
};

// The ghosts' lines and, last, the one that is seen now.
function linesOf(measure) {
  const lines = ghosts.map((ghost, i) => ({ layers: ghost.layers, values: measure(ghost), kind: `ghost ghost-${i + 1}`, tag: String(i + 1) }));
  return [...lines, { layers: now.layers, values: measure(now), kind: "now" }];
}

function show(animate) {
  const { settings } = now, gradients = gradient(now), sizes = size(now), ratio = gradients[0];
  ghosts = othersThan(now).slice(-MOST_GHOSTS);
  const common = { dots: true, animate, below: words.below };
  charts.backward.draw({ ...common, lines: linesOf(gradient), end: `× ${inWords(ratio)}`, label: words.backwardLabel("1", inWords(ratio), settings.depth) });
  charts.forward.draw({ ...common, lines: linesOf(size), label: words.forwardLabel(inWords(sizes[0]), inWords(sizes.at(-1)), settings.depth) });
  const kind = kindOf(ratio), [before, strong, after] = words.verdict(kind, inWords(ratio), settings.depth);
  const verdict = byId("verdict");
  verdict.dataset.kind = kind;
  verdict.dataset.ratio = ratio;
  verdict.querySelector(".sign").textContent = SIGNS[kind];
  verdict.querySelector(".sentence").replaceChildren(before, element("strong", {}, strong), after);
  const remarks = [];
  if (ratio > 0 && Number.isFinite(ratio)) remarks.push(words.perLayer((ratio ** (1 / settings.depth)).toPrecision(3)));
  remarks.push(words.signal(inWords(now.norm_h.at(-1) / now.norm_h[0])));
  // A number of the gradient, where a loss's mean over the batch has numbers of about 1 / N.
  if (ratio / N < 2 ** -149) remarks.push(words.float32);
  verdict.querySelector(".aside").textContent = remarks.join(language === "zh" ? "" : " ");
  showPresets();
  showGhosts();
  showNumbers(gradients, sizes);
  showDiagram();
  mark(marked);
  remember();
}

function showDiagram() {
  const holder = controls.diagram, { settings } = now, count = now.layers.length - 1;
  holder.replaceChildren(diagramOf(settings, words, holder.clientWidth || 280), element("p", { class: "small" }, words.block(settings.skip === "none", count)));
}

function showPresets() {
  const chosen = presetOf(now.settings);
  for (const button of byId("presets").querySelectorAll("button")) button.setAttribute("aria-pressed", chosen?.name === button.dataset.preset);
  byId("note").replaceChildren(chosen ? "" : words.own);
  if (!chosen) return;
  const place = document.querySelector("meta[name=chapters]").content, title = words.chapter(chosen.chapter, words.chapters[chosen.chapter]);
  const file = CHAPTERS[chosen.chapter];
  const chapter = place ? element("a", { href: `${place}${file}.html` }, title) : element("span", { class: "chapter", title: `tutorials/${file}.py` }, title);
  byId("note").append(words.presets[chosen.name][1], " ", chapter);
}

function showGhosts() {
  const rows = [...ghosts.entries()].reverse().map(([i, ghost]) => {
    const sample = drawing("svg", { viewBox: "0 0 34 12", class: "sample", "aria-hidden": "true" });
    sample.append(drawing("path", { d: "M0 6H34", class: `line ghost ghost-${i + 1}` }));
    const button = element("button", { type: "button", class: "ghost", title: words.backTo }, element("b", {}, String(i + 1)), sample,
      element("span", { class: "times" }, `× ${inWords(gradient(ghost)[0])}`),
      element("span", { class: "what" }, words.asNow + differences(ghost.settings, now.settings).map(key => `${words[key]} ${nameOf(key, ghost.settings[key])}`).join(language === "zh" ? "，" : ", ")));
    button.addEventListener("click", () => compute(ghost.settings, true));
    return element("li", {}, button);
  });
  byId("ghosts").replaceChildren(rows.length ? element("ol", {}, ...rows) : element("p", { class: "small" }, words.noGhosts));
}

const nameOf = (key, value) => words.choices[key]?.[value] ?? String(value);

function showNumbers(gradients, sizes) {
  const head = element("tr", {}, ...words.table.map(text => element("th", { scope: "col" }, text)));
  const rows = now.layers.map((layer, i) => element("tr", {}, element("td", {}, layer ? String(layer) : words.input), element("td", {}, sizes[i].toExponential(4)), element("td", {}, gradients[i].toExponential(4))));
  document.querySelector("#numbers table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

function mark(layer) {
  marked = layer;
  for (const chart of Object.values(charts)) chart.mark(layer);
  const at = now ? now.layers.indexOf(layer) : -1;
  byId("readout").textContent = at < 0 ? `${words.readoutHint} ${now ? words.took(products(now), Math.round(now.milliseconds)) : ""}` : words.readout(layer, inWords(gradient(now)[at]), inWords(size(now)[at]));
}

// Millions of products of two numbers, forward and backward, in all matrix products.
function products({ settings, layers }) {
  const matrices = settings.depth + (settings.skip === "projected" ? layers.length - 1 : 0);
  return Math.round(2 * matrices * N * settings.width ** 2 / 1e6);
}

// The address holds the settings, and the language and the moment where somebody chose them.
function remember() {
  writeAddress({ ...now.settings, lang: address.lang, step: address.step });
}

const controls = new Controls(byId("switches"), change);
const replay = new Replay(JSON.parse(byId("recording").textContent), step => { address.step = step; if (now) remember(); });

function speak(which) {
  language = which;
  words = WORDS[which];
  document.documentElement.lang = which === "zh" ? "zh-CN" : "en";
  document.title = `${words.title} · MiniRes`;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = words[node.dataset.text];
  byId("other").textContent = words.other;
  byId("other").lang = which === "zh" ? "en" : "zh-CN";
  byId("other").setAttribute("aria-label", words.otherLabel);
  byId("theme").setAttribute("aria-label", words.theme);
  const chips = PRESETS.map(preset => {
    const chip = element("button", { type: "button", "data-preset": preset.name, "aria-pressed": "false" }, words.presets[preset.name][0]);
    chip.addEventListener("click", () => compute(preset.settings, true));
    return chip;
  });
  byId("presets").replaceChildren(element("h2", {}, words.presetsTitle), element("div", { class: "chips" }, ...chips), element("p", { id: "note", "aria-live": "polite" }));
  byId("how").replaceChildren(...words.how.map(text => element("p", {}, text)));
  controls.speak(words);
  replay.speak(words);
  if (now) show(false);
}

byId("other").addEventListener("click", () => { address.lang = language === "zh" ? "en" : "zh"; speak(address.lang); });

byId("copy").addEventListener("click", async () => {
  let said = words.linked;
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    said = words.linkFailed; // a browser that lets no page write there
  }
  byId("copy").textContent = said;
  setTimeout(() => { byId("copy").textContent = words.link; }, 1500);
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = theme => { document.documentElement.dataset.theme = theme; };
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
setTheme(dark.matches ? "dark" : "light");

document.querySelector("#more pre").textContent = arithmetic.trim();

// From the address; where it names no settings, the opening: three settings one after the other.
async function begin() {
  busy(1);
  address = readAddress();
  speak(Object.hasOwn(WORDS, address.lang ?? "") ? address.lang : navigator.language.startsWith("zh") ? "zh" : "en");
  if (address.step !== undefined) replay.goTo(replay.recording.moments.indexOf(Number(address.step)));
  const named = Object.keys(HE_2015).some(key => key in address);
  const first = named ? [valid(address)] : OPENING.map(name => presetCalled(name).settings);
  for (const settings of first) await compute(settings, true);
  busy(-1);
}

addEventListener("hashchange", begin);
begin();
