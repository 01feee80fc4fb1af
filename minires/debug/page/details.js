// Everything about the chosen operation: numbers, pictures, fork meter, source and formulas.

class Details {
  // onChange(): another line or another gradient was chosen.
  constructor(holder, onChange) {
    this.holder = holder;
    this.onChange = onChange;
    this.chosen = "grad_y"; // which row of the table the gradient's picture shows; kept from step to step
    this.line = 0;
  }

  // beside: {pass, op}, the operation that stands beside this one in the twin, or nothing.
  show(pass, step, beside) {
    const other = this.pass !== pass || this.step !== step;
    this.pass = pass;
    this.step = step;
    this.beside = beside;
    const op = pass.ops[step];
    if (other) this.line = op.lines.length ? op.lines.length - 1 : 0;
    const cards = [this.title(op), this.numbers(op), this.pictures(op)];
    if (op.fork) cards.push(this.fork(op));
    cards.push(this.source(op));
    if (op.kernels.length) cards.push(this.kernels(op));
    if (pass.formulas[op.formula]) cards.push(this.formula(op));
    this.holder.replaceChildren(...cards);
  }

  array(number) { return this.pass.arrays[number]; }

  stepLine(by) {
    const op = this.pass.ops[this.step];
    this.line = Math.min(Math.max(0, this.line + by), Math.max(0, op.lines.length - 1));
    this.holder.querySelector(".card.code").replaceWith(this.source(op));
    this.holder.querySelector(".source .now")?.scrollIntoView({ block: "nearest" }); // the style sheet keeps room for what is above
    this.onChange();
  }

  title(op) {
    const inside = op.path ? [element("code", {}, op.path)] : [];
    const card = element("section", { class: "card" }, element("div", { class: "title" },
      element("h2", {}, op.op), ...inside, element("span", { class: "muted" }, "called at " + op.site)));
    const totals = op.totals;
    card.append(element("p", { class: "muted", id: "totals" }, totals.parameters
      ? `Up to here ${totals.parameters} parameters have a gradient: ${totals.numbers.toLocaleString("en")} numbers, norm ${show(totals.grad_norm)}.`
      : "No parameter has a gradient yet."));
    return card;
  }

  numbers(op) {
    const rows = [{ key: "grad_y", name: "dL/dy", array: op.grad_y, where: "arrives" }];
    for (const input of op.inputs) {
      if (input.grad === null) continue;
      const where = input.parameter ? input.parameter : input.made_by === null ? "leaf" : "to " + this.nameOf(input.made_by);
      rows.push({ key: input.name, name: "dL/d" + input.name, array: input.grad, where });
    }
    rows.push({ key: "y", name: "y", array: op.y, where: "activation" });
    if (!rows.some(row => row.key === this.chosen)) this.chosen = "grad_y";
    const table = element("table", {});
    const head = ["array", "norm", "mean", "max |·|", "zeros", "NaN, ∞", "shape"];
    if (this.beside) head.splice(2, 0, "in the twin");
    table.append(element("thead", {}, element("tr", {}, ...head.map(text => element("th", { scope: "col" }, text)))));
    const body = element("tbody", {});
    for (const row of rows) {
      const array = this.array(row.array);
      const number = (value, name, label) => element("td", { "data-name": name, "data-label": label, "data-value": value, class: typeof value === "string" ? "bad" : "" }, show(value));
      const name = row.key === "y" ? element("code", {}, row.name) : element("button", { type: "button", "aria-pressed": row.key === this.chosen, title: "Show its picture" }, row.name);
      if (row.key !== "y") name.addEventListener("click", () => {
        this.chosen = row.key;
        this.show(this.pass, this.step, this.beside);
        this.holder.querySelector(`tr[data-key="${row.key}"] button`).focus();
        this.onChange();
      });
      const cells = [element("td", {}, name, " ", element("small", {}, row.where)), number(array.norm, "norm", "norm"), number(array.mean, "mean", "mean"), number(array.abs_max, "abs_max", "max |·|"),
        element("td", { "data-label": "zeros" }, share(array.zeros)),
        element("td", { "data-label": "NaN, ∞", class: array.nans || array.infs ? "bad" : "" }, array.nans || array.infs ? `${array.nans}, ${array.infs}` : "none"),
        element("td", { "data-label": "shape" }, element("small", {}, shapeText(array.shape)))];
      if (this.beside) cells.splice(2, 0, element("td", { "data-label": "in the twin" }, this.normBeside(row.key)));
      body.append(element("tr", { "data-key": row.key }, ...cells));
    }
    table.append(body);
    return element("section", { class: "card numbers", "aria-label": "Gradients in numbers" }, table);
  }

  normBeside(key) {
    const { pass, op } = this.beside, here = this.pass.ops[this.step], input = op.inputs.find(one => one.name === key);
    if (op.path !== here.path || op.op !== here.op) return "–"; // the twin has no such operation
    const number = key === "grad_y" ? op.grad_y : key === "y" ? op.y : input ? input.grad : null;
    return number === null ? "–" : show(pass.arrays[number].norm);
  }

  nameOf(step) {
    const op = this.pass.ops[step];
    return op.path ? (op.path.endsWith(op.op) ? op.path : `${op.path} · ${op.op}`) : op.op;
  }

  pictures(op) {
    const input = op.inputs.find(one => one.name === this.chosen);
    const gradient = this.array(this.chosen === "grad_y" ? op.grad_y : input.grad), name = "dL/d" + (this.chosen === "grad_y" ? "y" : this.chosen);
    const view = (title, array, what) => element("section", { class: "card" }, element("h3", {}, title),
      array.picture ? element("div", { class: "pictures" }, heatMap(array, what), histogramOf(array, what)) : element("p", {}, "one number: ", show(array.mean)));
    return element("div", { class: "pair" }, view(`Gradient ${name}`, gradient, name), view("Activation y", this.array(op.y), "the activation y"));
  }

  fork(op) {
    const fork = op.fork, whole = Math.abs(fork.skip_share) + Math.abs(fork.branch_share);
    const part = (kind, of) => {
      const span = element("span", { class: kind }, `${kind} ${share(of)}`);
      span.style.flex = `${Math.abs(of) / whole} 1 0`;  // the page's policy allows no style in an attribute
      return span;
    };
    const card = element("section", { class: "card fork", "aria-label": "Fork meter" }, element("h3", {}, "Where the gradient of the block’s input comes from"));
    if (whole > 0) card.append(element("div", { class: "meter", role: "img", "aria-label": `${share(fork.skip_share)} through the skip, ${share(fork.branch_share)} through the branch` },
      part("skip", fork.skip_share), part("branch", fork.branch_share)));
    card.append(element("p", {}, `Norm ${show(fork.skip_norm)} through the skip, ${show(fork.branch_norm)} through the branch, ${this.cosine(fork)}; ` +
        `their sum, dL/dx, has norm ${show(fork.x_norm)}. A share is what the path adds along dL/dx.`));
    return card;
  }

  cosine(fork) {
    if (typeof fork.cosine === "number") return `cosine between them ${show(fork.cosine)}`;
    if (typeof fork.skip_norm === "string" || typeof fork.branch_norm === "string") return "no cosine between them, since not all is finite";
    if (fork.skip_norm && fork.branch_norm) return "no cosine between them, since they are too small";
    return `no cosine between them, since the ${fork.skip_norm ? "branch" : "skip"} gives 0`;
  }

  source(op) {
    const source = this.pass.sources[op.source], now = op.lines[this.line];
    const card = element("section", { class: "card code", "aria-label": "Backward, hand-written" });
    const heading = element("div", { class: "heading" }, element("h3", {}, `${op.op}.backward in ${source.file}`));
    if (op.lines.length > 1) {
      const back = element("button", { type: "button", title: "Shift ←" }, "← line"), on = element("button", { type: "button", title: "Shift →" }, "line →");
      back.addEventListener("click", () => { this.stepLine(-1); this.holder.querySelector(".code button").focus(); });
      on.addEventListener("click", () => { this.stepLine(1); this.holder.querySelectorAll(".code button")[1].focus(); });
      heading.append(element("div", { class: "buttons" }, back, on));
    }
    const pre = element("pre", { class: "source", tabindex: "0", "aria-label": "Source" });
    const lines = source.text.replace(/\n$/, "").split("\n"), indent = Math.min(...lines.filter(line => line.trim()).map(line => line.search(/\S/)));
    const ran = new Map(op.lines.slice(0, this.line + 1).map(one => [one.line, one.values]));
    const reached = new Set(op.lines.map(one => one.line));
    lines.forEach((text, i) => {
      const number = source.line + i;
      const row = element("span", {}, element("b", {}, number), text.slice(indent));
      if (ran.has(number)) row.classList.add("ran");
      if (op.lines.length && i && !reached.has(number) && /^\s*[\w(]/.test(text) && this.skipped(lines, i, reached, source.line)) row.classList.add("skipped");
      if (now ? now.line === number : i === 0) { row.classList.add("now"); row.setAttribute("aria-current", "step"); }
      pre.append(row);
      const values = Object.entries(ran.get(number) || {}).map(([name, value]) => `${name} = ${this.valueText(value)}`);
      if (values.length) pre.append(element("em", {}, values.join("   ")));
    });
    if (!source.text) pre.append("(the source cannot be read)");
    card.append(heading, pre);
    const kept = Object.entries(op.kept).map(([name, text]) => `${name} ${text}`);
    if (kept.length) card.append(element("p", { class: "kept" }, "Kept by forward: " + kept.join(", ")));
    return card;
  }

  // The kernels that the backward calls, and closed below them what these call.
  kernels(op) {
    const card = element("section", { class: "card kernels", "aria-label": "Kernels" }, element("h3", {}, op.kernels.length > 1 ? "The kernels that it calls, in NumPy" : "The kernel that it calls, in NumPy"));
    const folded = (number, open) => {
      const source = this.pass.sources[number], name = source.text.match(/def (\w+)/)[1];
      const pre = element("pre", { tabindex: "0", "aria-label": `Source of ${name}` });
      source.text.replace(/\n$/, "").split("\n").forEach((text, i) => pre.append(element("span", {}, element("b", {}, source.line + i), text)));
      pre.classList.add("source");
      const details = element("details", {}, element("summary", {}, element("code", {}, name), " ", element("small", {}, `${source.file}:${source.line}`)), pre);
      details.open = open;
      return details;
    };
    card.append(...op.kernels.map(number => folded(number, true)), ...op.helpers.map(number => folded(number, false)));
    return card;
  }

  // Whether a line that did not run was passed over: one in a branch not taken, not the rest of a statement.
  skipped(lines, i, reached, first) {
    let before = i - 1;
    while (before > 0 && !lines[before].trim()) before--;
    return /:\s*(#.*)?$/.test(lines[before]) && !reached.has(first + i);
  }

  valueText(value) {
    if (typeof value === "string") return value;
    const array = this.array(value);
    return array.shape.length ? `${shapeText(array.shape)} norm ${show(array.norm)}` : show(array.mean);
  }

  formula(op) {
    const pre = element("pre", { class: "formula", tabindex: "0", "aria-label": "Formulas" });
    pre.append(this.pass.formulas[op.formula]);
    return element("section", { class: "card", "aria-label": "Formulas" }, element("h3", {}, "Formulas"), pre);
  }
}

function share(part) {
  if (typeof part !== "number") return show(part);
  const percent = 100 * part;
  if (percent < 0) return "−" + share(-part);
  return (percent > 0 && percent < .1 ? "<0.1" : percent.toFixed(percent >= 10 || percent === 0 ? 0 : 1)) + " %";
}
