// The switches: a slider for the depth, a row of radio buttons for each choice, a number for the seed.

class Controls {
  // onChange(key, value, passing): passing is true while a slider is on its way.
  constructor(form, onChange) {
    this.form = form;
    this.onChange = onChange;
    this.settings = HE_2015;
    form.addEventListener("submit", event => event.preventDefault());
  }

  speak(words) {
    this.words = words;
    const rows = ["skip", "order", "norm", "init", "activation", "width"].map(key => this.choice(key));
    this.diagram = element("div", { id: "diagram" });
    this.form.replaceChildren(element("h2", { class: "hidden" }, words.switches), this.diagram, this.depth(), ...rows, this.seed());
    this.show(this.settings);
  }

  depth() {
    this.slider = element("input", { type: "range", id: "depth", min: DEPTHS.least, max: DEPTHS.most, step: DEPTHS.step });
    this.slider.addEventListener("input", () => this.onChange("depth", this.slider.value, true));
    this.count = element("output", { for: "depth" });
    return element("div", { class: "row" }, element("label", { for: "depth" }, this.words.depth), this.slider, this.count);
  }

  choice(key) {
    const buttons = CHOICES[key].map(value => {
      const radio = element("input", { type: "radio", name: key, value });
      radio.addEventListener("change", () => this.onChange(key, value, false));
      const label = element("label", {}, radio, element("span", {}, this.words.choices[key]?.[value] ?? String(value)));
      const hint = this.words.hints[key]?.[value];
      if (hint) label.title = hint;
      return label;
    });
    const hint = element("small", { class: "hint" });
    return element("fieldset", { class: "row", "data-key": key }, element("legend", {}, this.words[key]), element("div", { class: "choices" }, ...buttons), hint);
  }

  seed() {
    this.number = element("input", { type: "number", id: "seed", min: 0, max: MOST_SEED, step: 1, inputmode: "numeric" });
    this.number.addEventListener("change", () => this.onChange("seed", this.number.value, false));
    const another = element("button", { type: "button" }, this.words.another);
    another.addEventListener("click", () => this.onChange("seed", String((this.settings.seed + 1) % (MOST_SEED + 1)), false));
    return element("div", { class: "row seed" }, element("label", { for: "seed" }, this.words.seed), this.number, another);
  }

  show(settings) {
    this.settings = settings;
    this.slider.value = settings.depth;
    this.count.textContent = this.words.layers(settings.depth);
    this.slider.setAttribute("aria-valuetext", this.count.textContent);
    this.number.value = settings.seed;
    for (const key in CHOICES) {
      const row = this.form.querySelector(`[data-key=${key}]`);
      for (const radio of row.querySelectorAll("input")) {
        radio.checked = radio.value === String(settings[key]);
        radio.disabled = !canBe(key, radio.value, settings);
      }
      row.querySelector(".hint").textContent = this.words.hints[key]?.[settings[key]] ?? "";
    }
  }
}
