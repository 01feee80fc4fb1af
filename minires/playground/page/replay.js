// The second panel: trainings that were recorded in MiniRes, one moment at a time. docs/playground_runs.py recorded them.

class Replay {
  constructor(recording, onMoment) {
    this.recording = recording;
    this.runs = recording.runs.map(run => ({ ...run, kind: `${run.name.split("-")[0]} ${run.lr === recording.runs[0].lr ? "fast" : "slow"}`, shown: true }));
    this.index = 0;
    this.onMoment = onMoment;
    this.chart = new LogChart(document.querySelector("#replay .chart"), { sweep: "right", onMark: layer => this.mark(layer) });
    this.slider = byId("moment");
    this.slider.max = recording.moments.length - 1;
    this.slider.addEventListener("input", () => { this.play(false); this.goTo(Number(this.slider.value)); });
    byId("play").addEventListener("click", () => this.play(!this.playing));
    const logs = this.runs.flatMap(run => run.log10_grad_h.flatMap(profile => profile.map(log => log - profile.at(-1))));
    this.range = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs))];
  }

  // dL/dh of each output as a part of that at the last block.
  profile(run, index) { return run.log10_grad_h[index].map((log, _, all) => 10 ** (log - all.at(-1))); }
  ratio(run) { return this.profile(run, this.index)[0]; }

  speak(words) {
    this.words = words;
    this.table();
    this.show();
  }

  goTo(index) {
    this.index = Math.min(this.recording.moments.length - 1, Math.max(0, index));
    this.show();
    this.onMoment(this.recording.moments[this.index]);
  }

  play(on) {
    clearInterval(this.playing);
    if (on && this.index === this.recording.moments.length - 1) this.goTo(0);
    this.playing = on ? setInterval(() => {
      this.goTo(this.index + 1);
      if (this.index === this.recording.moments.length - 1) this.play(false);
    }, 900) : null;
    this.button();
  }

  button() {
    byId("play").setAttribute("aria-label", this.playing ? this.words.pause : this.words.play);
    byId("play").querySelector("path").setAttribute("d", this.playing ? "M3 3h4v10H3zM9 3h4v10H9z" : "M4 2v12l10-6z");
  }

  show() {
    const { words, index } = this, { moments } = this.recording, step = moments[index];
    const lines = this.runs.filter(run => run.shown).map(run => {
      const values = this.profile(run, index);
      return { layers: values.map((_, i) => i), values, kind: run.kind };
    });
    if (!lines.length) lines.push({ layers: [0, this.runs[0].outputs.length - 1], values: [0, 0], kind: "" });
    this.chart.draw({ lines, label: words.replayLabel(step), below: words.replayBelow, range: this.range });
    const when = step === 0 ? words.before : words.stepText(step, moments.at(-1));
    this.slider.value = index;
    this.slider.setAttribute("aria-label", words.moment);
    this.slider.setAttribute("aria-valuetext", when);
    byId("step").textContent = when;
    const first = this.runs[0].lr, [plain, residual] = ["plain", "residual"].map(name => this.runs.find(run => run.name.startsWith(name) && run.lr === first));
    const told = run => ({ lr: run.lr, ratio: inWords(this.ratio(run)), loss: run.loss[index].toFixed(2), guessing: run.loss[index] > this.recording.chance - 0.1 });
    byId("story").textContent = capital(words.story(when, told(plain), told(residual)));
    byId("guess").textContent = words.guess(this.recording.chance.toFixed(2));
    this.runs.forEach((run, i) => {
      const cells = byId("runs").querySelectorAll(`tbody tr:nth-child(${i + 1}) [data-value]`);
      [inWords(this.ratio(run)), run.loss[index].toFixed(2)].forEach((text, k) => { cells[k].textContent = text; });
      cells[0].dataset.value = this.ratio(run);
      cells[1].dataset.value = run.loss[index];
    });
    this.button();
    this.mark(this.chart.marked);
  }

  table() {
    const { run: heads, names } = this.words;
    const head = element("tr", {}, ...[heads.name, heads.lr, heads.ratio, heads.loss].map(text => element("th", { scope: "col" }, text)));
    const rows = this.runs.map(run => {
      const box = element("input", { type: "checkbox" });
      box.checked = run.shown;
      box.addEventListener("change", () => { run.shown = box.checked; this.show(); });
      const sample = drawing("svg", { viewBox: "0 0 34 10", class: "sample", "aria-hidden": "true" });
      sample.append(drawing("path", { d: "M0 5H34", class: `line ${run.kind}` }));
      const name = element("label", {}, box, sample, element("span", {}, names[run.name.split("-")[0]]));
      return element("tr", {}, element("td", {}, name), element("td", {}, String(run.lr)), element("td", { "data-value": "" }), element("td", { "data-value": "" }));
    });
    byId("runs").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  }

  mark(layer) {
    this.chart.mark(layer);
    const { words } = this;
    if (layer === null || layer === undefined) {
      byId("replay-readout").textContent = words.readoutHint;
      return;
    }
    const place = layer === 0 ? words.stem : words.block_(layer);
    const parts = this.runs.filter(run => run.shown).map(run => `${words.names[run.name.split("-")[0]]} ${run.lr}: ${inWords(this.profile(run, this.index)[layer])}`);
    byId("replay-readout").textContent = words.replayReadout(place, parts.join(" · "));
  }
}

const capital = text => text[0].toUpperCase() + text.slice(1);
