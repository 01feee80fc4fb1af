// The search: operations and modules by any part of their names. What is found can be clicked; Enter goes to the next.

const MOST_FOUND = 8;

class Search {
  constructor(holder, pass, groups, onChoose) {
    this.onChoose = onChoose;
    const ops = pass.ops.map((op, i) => ({ step: i, path: op.path, kind: op.op }));
    const modules = groups.map(group => ({ step: group.first, path: group.path, kind: `${group.last - group.first + 1} ops` }));
    this.places = [...modules, ...ops].sort((a, b) => a.step - b.step);
    this.box = element("input", { type: "search", placeholder: "search: layer2.0, BatchNorm, …", "aria-label": "Search operations and modules", autocomplete: "off", spellcheck: "false" });
    this.list = element("ol", { "aria-label": "Found", "aria-live": "polite" });
    holder.append(this.box, this.list);
    this.box.addEventListener("input", () => this.find());
    holder.addEventListener("keydown", event => this.onKey(event));
  }

  focus() {
    this.box.focus();
    this.box.select();
  }

  // Every word must be in the path or the kind.
  find() {
    const words = this.box.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = words.length ? this.places.filter(place => words.every(word => `${place.path} ${place.kind}`.toLowerCase().includes(word))) : [];
    this.next = 0;
    const rows = this.found.slice(0, MOST_FOUND).map(place => {
      const button = element("button", { type: "button" }, element("code", {}, place.path || place.kind), " ", element("small", {}, `${place.path ? place.kind + ", " : ""}step ${place.step + 1}`));
      button.addEventListener("click", () => this.onChoose(place.step));
      return element("li", {}, button);
    });
    const more = this.found.length - rows.length;
    if (more > 0) rows.push(element("li", { class: "muted" }, `and ${more} more`));
    if (words.length && !this.found.length) rows.push(element("li", { class: "muted" }, "nothing of that name"));
    this.list.replaceChildren(...rows);
  }

  onKey(event) {
    const buttons = [...this.list.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    if (event.key === "Escape") {
      this.box.value = "";
      this.find();
      this.box.blur();
    } else if (event.key === "Enter" && event.target === this.box && this.found?.length) {
      this.onChoose(this.found[this.next % this.found.length].step);
      this.next++;
    } else if (event.key === "ArrowDown" && at + 1 < buttons.length) buttons[at + 1].focus();
    else if (event.key === "ArrowUp" && at >= 0) (buttons[at - 1] || this.box).focus();
    else return;
    event.preventDefault();
  }
}
