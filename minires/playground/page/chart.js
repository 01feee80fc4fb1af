// Lines over layers on a logarithmic axis. A line is {layers, values, kind, tag}: kind is a class of the style sheet, tag a
// few letters that stand at its left end. Zeros and infinities have no place on such an axis; the line has a gap there.

const PLOT = { left: 64, right: 14, top: 16, bottom: 32 }; // pixels around the lines
const TAG = { x: 52, height: 15 };

class LogChart {
  // sweep: the side that a new line grows from, "left" or "right". onMark(layer): another layer was pointed at.
  constructor(holder, { sweep, onMark }) {
    this.holder = holder;
    this.sweep = sweep;
    this.svg = drawing("svg", { role: "img", tabindex: 0 });
    holder.append(this.svg);
    const point = event => onMark(this.nearest((event.offsetX - PLOT.left) / this.inner * this.most));
    this.svg.addEventListener("pointermove", point);
    this.svg.addEventListener("pointerdown", point);
    this.svg.addEventListener("pointerleave", () => { if (document.activeElement !== this.svg) onMark(null); });
    this.svg.addEventListener("blur", () => onMark(null));
    this.svg.addEventListener("keydown", event => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const { layers } = this.lines.at(-1), at = layers.indexOf(this.marked);
      onMark(at < 0 ? (by < 0 ? layers.at(-1) : layers[0]) : layers[Math.min(layers.length - 1, Math.max(0, at + by))]);
    });
    new ResizeObserver(() => { if (this.lines && holder.clientWidth !== this.width) this.draw(this.options); }).observe(holder);
  }

  nearest(layer) {
    return this.lines.at(-1).layers.reduce((best, one) => Math.abs(one - layer) < Math.abs(best - layer) ? one : best);
  }

  x(layer) { return PLOT.left + this.inner * layer / this.most; }
  y(value) { return PLOT.top + (this.height - PLOT.top - PLOT.bottom) * (this.high - Math.log10(value)) / (this.high - this.low); }

  // The last line is the one that is pointed at. label: what a screen reader says; range: [low, high] of log10, if it is
  // to be the same in all pictures; end: a text at the last line's left end.
  draw(options) {
    this.options = options;
    const { lines, label, below, range, end, animate } = options;
    this.lines = lines;
    this.width = this.holder.clientWidth || 600;
    this.height = this.svg.clientHeight || 260;
    this.inner = this.width - PLOT.left - PLOT.right;
    this.most = lines.reduce((most, line) => Math.max(most, line.layers.at(-1)), 1);
    [this.low, this.high] = range || rangeOf(lines);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("aria-label", label);
    this.svg.replaceChildren(...this.axes(below));
    const drawn = drawing("g", {});
    for (const line of lines) drawn.append(drawing("path", { d: this.pathOf(line), class: `line ${line.kind}` }));
    const last = lines.at(-1);
    if (options.dots) for (const [layer, value] of pointsOf(last)) drawn.append(drawing("circle", { cx: this.x(layer), cy: this.y(value), r: 2.2, class: "dot" }));
    this.svg.append(drawn);
    this.tags();
    if (end && pointsOf(last).length) this.svg.append(this.endOf(last, end));
    this.cross = drawing("g", { class: "cross", visibility: "hidden" });
    this.cross.append(drawing("line", { y1: PLOT.top, y2: this.height - PLOT.bottom }), drawing("circle", { r: 5 }));
    this.svg.append(this.cross);
    if (animate) this.grow(drawn);
    this.mark(this.marked ?? null);
  }

  axes(below) {
    const nodes = [], bottom = this.height - PLOT.bottom, right = this.width - PLOT.right;
    const every = [1, 2, 5, 10, 20, 50, 100].find(step => (this.high - this.low) / step <= (bottom - PLOT.top) / 30);
    for (let power = Math.ceil(this.low / every) * every; power <= this.high; power += every) {
      const y = this.y(10 ** power);
      nodes.push(drawing("line", { x1: PLOT.left, x2: right, y1: y, y2: y, class: power === 0 ? "one" : "grid" }));
      nodes.push(drawing("text", { x: 36, y: y + 4, "text-anchor": "end" }, power === 0 ? "1" : powerOfTen(power)));
    }
    const step = [1, 2, 5, 10, 20].find(count => this.most / count <= this.inner / 48) || 50;
    for (let layer = 0; layer <= this.most; layer += step) {
      nodes.push(drawing("text", { x: this.x(layer), y: bottom + 15, "text-anchor": "middle" }, String(layer)));
    }
    nodes.push(drawing("line", { x1: PLOT.left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
    nodes.push(drawing("text", { x: right, y: bottom + 27, "text-anchor": "end", class: "below" }, below));
    return nodes;
  }

  pathOf(line) {
    let path = "", pen = "M";
    line.layers.forEach((layer, i) => {
      if (!isShown(line.values[i])) {
        pen = "M";
        return;
      }
      path += `${pen}${this.x(layer).toFixed(1)} ${this.y(line.values[i]).toFixed(1)}`;
      pen = "L";
    });
    return path;
  }

  // Tags stand beside their lines' left ends, from the top down, none over another.
  tags() {
    const placed = this.lines.filter(line => line.tag && isShown(line.values[0])).map(line => ({ line, y: this.y(line.values[0]) }));
    placed.sort((a, b) => a.y - b.y);
    for (let i = 1; i < placed.length; i++) placed[i].y = Math.max(placed[i].y, placed[i - 1].y + TAG.height);
    let floor = this.height - PLOT.bottom + 6;
    for (const tag of [...placed].reverse()) {
      tag.y = Math.min(tag.y, floor);
      floor = tag.y - TAG.height;
    }
    for (const { line, y } of placed) {
      this.svg.append(drawing("circle", { cx: TAG.x, cy: y, r: 7, class: `tag ${line.kind}` }), drawing("text", { x: TAG.x, y: y + 3.5, "text-anchor": "middle", class: "tagged" }, line.tag));
    }
  }

  // Beside a steep line's end, above a level one.
  endOf(line, text) {
    const points = pointsOf(line).map(([layer, value]) => [this.x(layer), this.y(value)]), [x, y] = points[0];
    const [, further] = points.find(point => point[0] > x + 60) || points.at(-1);
    if (Math.abs(further - y) > 14) return drawing("text", { x: x + 14, y: Math.min(y + 5, this.height - PLOT.bottom - 4), class: "end" }, text);
    return drawing("text", { x: x + 8, y: y > PLOT.top + 26 ? y - 10 : y + 22, class: "end" }, text);
  }

  // The lines appear from the side that the pass comes from.
  grow(drawn) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const from = this.sweep === "left" ? `inset(0 100% 0 0)` : `inset(0 0 0 100%)`;
    drawn.animate([{ clipPath: from }, { clipPath: "inset(-10px)" }], { duration: 500, easing: "ease-out" });
  }

  mark(layer) {
    this.marked = layer;
    if (!this.cross) return;
    const line = this.lines.at(-1), value = line.values[line.layers.indexOf(layer)];
    this.cross.setAttribute("visibility", isShown(value) ? "visible" : "hidden");
    if (!isShown(value)) return;
    const [rule, dot] = this.cross.children, x = this.x(layer);
    rule.setAttribute("x1", x);
    rule.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", this.y(value));
  }
}

const isShown = value => value > 0 && Number.isFinite(value);
const pointsOf = line => line.layers.map((layer, i) => [layer, line.values[i]]).filter(([, value]) => isShown(value));

// At least four powers of ten, so that a line that is nearly level looks level.
function rangeOf(lines) {
  const logs = [0, ...lines.flatMap(line => line.values.filter(isShown).map(Math.log10))];
  let low = Math.floor(Math.min(...logs) - 0.2), high = Math.ceil(Math.max(...logs) + 0.2);
  while (high - low < 4) {
    if (high - Math.max(...logs) <= Math.min(...logs) - low) high++;
    else low--;
  }
  return [low, high];
}
