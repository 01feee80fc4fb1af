// The norm of the gradient over the whole walk, above the slider: log scale, one line a pass.

const AXIS = 34; // pixels to the left of the lines, for the scale; the slider leaves the same

class Chart {
  constructor(holder, passes, scale, onChoose) {
    this.holder = holder;
    this.passes = passes;
    this.scale = scale;
    this.count = passes[0].ops.length;
    this.slider = element("input", { type: "range", id: "slider", min: 0, max: this.count - 1, step: 1, value: 0, "aria-label": "Step of the backward pass" });
    this.slider.addEventListener("input", () => onChoose(Number(this.slider.value)));
    this.svg = drawing("svg", { role: "img", "aria-label": "Norm of the gradient arriving at each operation, from the loss to the input, log scale" });
    const choose = event => onChoose(Math.round((event.offsetX - AXIS - 8) / (this.width - AXIS - 16) * (this.count - 1)));
    this.svg.addEventListener("pointerdown", event => { choose(event); this.svg.setPointerCapture(event.pointerId); });
    this.svg.addEventListener("pointermove", event => { if (event.buttons) choose(event); });
    holder.append(this.svg, this.slider);
    new ResizeObserver(() => { if (holder.clientWidth !== this.width) this.draw(); }).observe(holder);
    this.draw();
  }

  x(step) { return AXIS + 8 + (this.width - AXIS - 16) * (this.count > 1 ? step / (this.count - 1) : 0); }
  y(norm) { return this.height - 6 - (this.height - 24) * this.scale.at(norm); }

  draw() {
    this.width = this.holder.clientWidth || 800;
    this.height = this.svg.clientHeight || 92;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren();
    const bands = buildTree(this.passes[0].ops);
    let shaded = false;
    for (const band of bands) {
      if (!band.children) continue;
      const from = this.x(band.first - .5), to = this.x(band.last + .5);
      if (shaded = !shaded) this.svg.append(drawing("rect", { class: "band", x: from, y: 0, width: to - from, height: this.height }));
      if (to - from > 7 * band.label.length) this.svg.append(drawing("text", { x: from + 5, y: 13 }, band.label));
    }
    this.lines = this.passes.map((pass, which) => {
      const points = pass.ops.map((op, i) => [pass.to_main ? pass.to_main[i] : i, pass.arrays[op.grad_y].norm]);
      const path = points.map(([step, norm], i) => (i ? "L" : "M") + this.x(step).toFixed(1) + " " + this.y(norm).toFixed(1)).join("");
      const kind = which ? "line twin" : "line";
      const done = drawing("path", { d: path, class: kind + " done" });
      const clip = drawing("clipPath", { id: "clip" + which });
      const window = drawing("rect", { x: 0, y: 0, width: 0, height: this.height });
      clip.append(window);
      done.setAttribute("clip-path", `url(#clip${which})`);
      const dot = drawing("circle", { r: 5, class: which ? "dot twin" : "dot" });
      this.svg.append(drawing("path", { d: path, class: kind }), clip, done);
      return { window, dot, points };
    });
    this.now = drawing("line", { class: "now", y1: 16, y2: this.height });
    this.svg.append(this.now, ...this.lines.map(line => line.dot));
    this.svg.append(drawing("text", { x: AXIS - 4, y: this.y(10 ** this.scale.high) + 4, "text-anchor": "end" }, powerOfTen(this.scale.high)),
      drawing("text", { x: AXIS - 4, y: this.y(10 ** this.scale.low) + 4, "text-anchor": "end" }, powerOfTen(this.scale.low)));
    if (this.step !== undefined) this.mark(this.step, this.others);
  }

  // others: the step of each further pass that stands beside this one.
  mark(step, others = []) {
    this.step = step;
    this.others = others;
    const x = this.x(step);
    this.now.setAttribute("x1", x);
    this.now.setAttribute("x2", x);
    this.lines.forEach((line, which) => {
      const point = line.points[which ? others[which - 1] : step];
      line.window.setAttribute("width", x);
      line.dot.setAttribute("cx", this.x(point[0]));
      line.dot.setAttribute("cy", this.y(point[1]));
    });
    this.slider.value = step;
  }
}
