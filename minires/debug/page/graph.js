// The network as rows, the loss above, and its edges: gray lines that take width and colour once the gradient has come by.

const ROW = 28, LANE = 15, LEFT = 10;

class Graph {
  constructor(pass, scale, onChoose) {
    this.pass = pass;
    this.scale = scale;
    this.onChoose = onChoose;
    this.tree = buildTree(pass.ops);
    this.groups = groupsOf(this.tree);
    this.open = new Set();
    this.followed = []; // groups that are open only because the walk is inside
    this.list = element("ol", { "aria-label": "Operations of " + (pass.name || "the network") });
    this.drawn = element("div", { class: "rows" }, this.list); // the edges and the rows beside them
    this.list.addEventListener("click", event => this.onClick(event));
    this.list.addEventListener("keydown", event => this.onKey(event));
    this.step = 0;
    for (const group of this.tree) if (group.children && group.children.some(row => row.children)) this.open.add(group);
    if (visibleRows(this.tree, row => this.open.has(row)).length > 90) this.open.clear();
    this.uses = pass.ops.map(() => []); // of each op: who gave it a gradient, and which
    pass.ops.forEach((op, i) => {
      for (const input of op.inputs) if (input.made_by !== null && input.grad !== null) this.uses[input.made_by].push({ from: i, grad: input.grad });
    });
  }

  norm(array) { return this.pass.arrays[array].norm; }

  // Show the rows that are open, and their edges, anew.
  draw() {
    const rows = visibleRows(this.tree, row => this.open.has(row));
    const owner = new Array(this.pass.ops.length);
    rows.forEach((row, at) => {
      row.at = at;
      row.isOpen = row.children !== null && this.open.has(row);
      if (!row.isOpen) for (let i = row.first; i <= row.last; i++) owner[i] = row;
    });
    this.rows = rows;
    this.owner = owner;
    this.edges = this.edgesBetween(owner);
    this.placeInLanes(rows);
    this.drawRows(rows);
    this.drawEdges(rows);
    this.mark();
  }

  edgesBetween(owner) {
    const edges = [];
    this.uses.forEach((uses, to) => {
      const target = owner[to], byOwner = new Map();
      for (const use of uses) {
        const source = owner[use.from];
        if (source === target) continue;
        if (!byOwner.has(source)) byOwner.set(source, []);
        byOwner.get(source).push(use);
      }
      for (const [source, several] of byOwner) {
        const last = Math.max(...several.map(use => use.from));
        if (several.length > 1 && several.length === uses.length) { // all of it flows here: the norm of the sum is known
          edges.push({ source, target, reachedAt: last, norm: this.norm(this.pass.ops[to].grad_y) });
        } else {
          for (const use of several) edges.push({ source, target, reachedAt: use.from, norm: this.norm(use.grad) });
        }
      }
    });
    return edges;
  }

  // Neighbours are joined by a straight line; any other edge bows out into the nearest lane that is free all the way.
  placeInLanes(rows) {
    const lanes = [];
    const far = this.edges.filter(edge => {
      edge.lane = 0;
      return rows.slice(edge.source.at + 1, edge.target.at).some(row => !row.isOpen);
    });
    far.sort((a, b) => (a.target.at - a.source.at) - (b.target.at - b.source.at));
    for (const edge of far) {
      let lane = 0;
      while ((lanes[lane] ||= []).some(other => edge.source.at < other.target.at && other.source.at < edge.target.at)) lane++;
      lanes[lane].push(edge);
      edge.lane = lane + 1;
    }
    this.spine = LEFT + LANE * Math.min(lanes.length, 6) + 6;
    this.laneWidth = LANE * Math.min(1, 6 / Math.max(1, lanes.length));
  }

  drawRows(rows) {
    this.list.replaceChildren();
    for (const row of rows) {
      const op = this.pass.ops[row.first], shown = this.norm(op.grad_y);
      const button = element("button", { type: "button", tabindex: "-1", "data-at": row.at });
      button.style.paddingLeft = this.spine + 16 + 12 * row.depth + "px";
      const kind = row.children ? `${row.last - row.first + 1} ops` : row.label === op.op ? shapeText(this.pass.arrays[op.y].shape) : op.op;
      if (row.children) {
        button.setAttribute("aria-expanded", row.isOpen);
        button.append(element("span", { class: "chevron", "aria-hidden": "true" }, "▸"));
      }
      button.append(element("span", { class: "name" }, row.label), element("span", { class: "kind" }, kind), element("span", { class: "norm" }, show(shown)));
      button.setAttribute("aria-label", `${row.label}, ${kind}, gradient norm ${show(shown)}`);
      if (typeof shown !== "number") button.lastChild.classList.add("bad");
      row.button = button;
      this.list.append(element("li", {}, button));
    }
  }

  drawEdges(rows) {
    const svg = drawing("svg", { width: this.spine + 12, height: rows.length * ROW, "aria-hidden": "true" });
    const y = row => row.at * ROW + ROW / 2, x = this.spine;
    for (const edge of this.edges) {
      const from = y(edge.source), to = y(edge.target), out = x - edge.lane * this.laneWidth - 2, bend = Math.min(ROW, (to - from) / 2);
      const path = edge.lane === 0 ? `M${x} ${from}V${to}` :
        `M${x} ${from}C${out} ${from} ${out} ${from} ${out} ${from + bend}V${to - bend}C${out} ${to} ${out} ${to} ${x} ${to}`;
      edge.node = drawing("path", { d: path, class: "edge" });
      edge.node.style.stroke = this.scale.color(edge.norm);
      edge.node.style.strokeWidth = this.scale.width(edge.norm) + "px";
      edge.node.classList.toggle("broken", typeof edge.norm !== "number");
      svg.append(edge.node);
    }
    for (const row of rows) {
      if (row.isOpen) continue;
      row.node = row.children ? drawing("rect", { x: x - 6, y: y(row) - 6, width: 12, height: 12, rx: 3.5 }) : drawing("circle", { cx: x, cy: y(row), r: 5 });
      svg.append(row.node);
    }
    this.drawn.replaceChildren(svg, this.list);
  }

  // Mark what the walk has passed.
  mark() {
    for (const edge of this.edges) edge.node.classList.toggle("ahead", edge.reachedAt > this.step);
    const now = this.owner[this.step];
    for (const row of this.rows) {
      if (!row.isOpen) row.node.setAttribute("class", "node" + (row === now ? " now" : row.last <= this.step ? " done" : ""));
      if (row === now) row.button.setAttribute("aria-current", "step"); else row.button.removeAttribute("aria-current");
      row.button.tabIndex = row === now ? 0 : -1;
    }
  }

  // Walk to a step: its groups open, and those that were opened for the step before close again.
  goTo(step) {
    this.step = step;
    const needed = [];
    let rows = this.tree;
    while (rows) {
      const row = rows.find(one => one.first <= step && step <= one.last);
      if (row.children) needed.push(row);
      rows = row.children;
    }
    const toOpen = needed.filter(group => !this.open.has(group));
    const toClose = this.followed.filter(group => !needed.includes(group));
    this.followed = this.followed.filter(group => needed.includes(group)).concat(toOpen);
    for (const group of toClose) this.open.delete(group);
    for (const group of toOpen) this.open.add(group);
    if (toOpen.length || toClose.length || !this.rows) this.draw(); else this.mark();
    this.bringIntoView(this.owner[step].button);
  }

  bringIntoView(button) {
    const view = this.list.closest("#graphs");
    if (!view || !view.clientHeight) return;
    const top = button.getBoundingClientRect().top - view.getBoundingClientRect().top + view.scrollTop;
    const margin = Math.min(110, view.clientHeight / 3);
    if (top < view.scrollTop + margin) view.scrollTop = top - margin;
    if (top + ROW > view.scrollTop + view.clientHeight - margin) view.scrollTop = top + ROW - view.clientHeight + margin;
  }

  toggle(row, open) {
    if (this.open.has(row) === open) return;
    if (open) this.open.add(row); else this.open.delete(row);
    this.followed = this.followed.filter(group => group !== row); // from here on the reader's own choice
    this.draw();
  }

  toggleAll(open) {
    this.followed = [];
    this.open = new Set(open ? this.groups : []);
    this.draw();
    this.bringIntoView(this.owner[this.step].button);
  }

  onClick(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const row = this.rows[button.dataset.at];
    if (row.children) this.toggle(row, !row.isOpen); else this.onChoose(row.first);
    row.button.focus({ preventScroll: true });
  }

  onKey(event) {
    const button = event.target.closest("button");
    if (!button || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const row = this.rows[button.dataset.at];
    let target = null;
    if (event.key === "ArrowDown") target = this.rows[row.at + 1];
    else if (event.key === "ArrowUp") target = this.rows[row.at - 1];
    else if (event.key === "ArrowRight" && row.children) this.toggle(row, true), target = row;
    else if (event.key === "ArrowLeft" && row.children) this.toggle(row, false), target = row;
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (!target) return;
    if (!target.children) this.onChoose(target.first);
    target.button.focus({ preventScroll: true });
    this.bringIntoView(target.button);
  }
}
