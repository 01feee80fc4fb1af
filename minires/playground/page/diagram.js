// The block as a picture, from what block.js says it is made of: the branch on a line, the skip in an arc above it.

const BOX = { height: 30, gap: 7, radius: 6 };

function diagramOf(settings, words, width) {
  const block = blockOf(settings);
  const letters = { linear: words.parts.linear, norm: words.parts.norm, activation: words.choices.activation[settings.activation] };
  const parts = block.branch.map(kind => [kind, letters[kind]]);
  if (block.scaled) parts.push(["scale", "÷√n"]);
  if (block.skip) parts.push(["sum", "+"]);
  parts.push(...block.after.map(kind => [kind, letters[kind]]));
  const high = block.skip ? 46 : 8, middle = high + BOX.height / 2, height = high + BOX.height + 8;
  const ends = 20, room = (width - 2 * ends - BOX.gap) / parts.length;
  const box = Math.min(64, Math.max(20, room - BOX.gap)), step = box + BOX.gap, total = 2 * ends + BOX.gap + step * parts.length;
  const svg = drawing("svg", { viewBox: `0 0 ${total} ${height}`, width: total, height, class: "diagram", role: "img" });
  const tall = (kind, wide) => kind === "sum" ? wide : BOX.height;
  const text = (x, y, word, kind) => drawing("text", { x, y: y + 4, "text-anchor": "middle", class: kind }, word);
  const node = (x, y, wide, kind, word) => [
    drawing("rect", { x: x - wide / 2, y: y - tall(kind, wide) / 2, width: wide, height: tall(kind, wide), rx: kind === "sum" ? wide / 2 : BOX.radius, class: kind }),
    text(x, y, word, box < 36 && word.length > 2 ? "tight" : "word")];
  svg.append(drawing("path", { d: `M${ends} ${middle}H${total - ends}`, class: "way" }), arrow(total - ends, middle));
  svg.append(text(ends / 2, middle, "h", "letter"), text(total - ends / 2, middle, "h", "letter"));
  let sum = 0;
  parts.forEach(([kind, word], i) => {
    const x = ends + BOX.gap + box / 2 + i * step, wide = kind === "sum" ? Math.min(30, box + 4) : box;
    if (kind === "sum") sum = x;
    svg.append(...node(x, middle, wide, kind, word));
  });
  if (block.skip) {
    const from = ends + BOX.gap / 2, top = 16, corner = 14;
    const way = `M${from} ${middle}V${top + corner}Q${from} ${top} ${from + corner} ${top}H${sum - corner}Q${sum} ${top} ${sum} ${top + corner}V${middle - 13}`;
    svg.prepend(drawing("path", { d: way, class: "way skip" }));
    if (block.skip.length) svg.append(...node((from + sum) / 2, top, Math.max(box, 30), "linear", letters.linear));
  }
  svg.setAttribute("aria-label", [block.skip ? "h → (" + words.choices.skip[settings.skip] + ")" : "h →", ...parts.map(([, word]) => word)].join(" "));
  return svg;
}

function arrow(x, y) {
  return drawing("path", { d: `M${x + 1} ${y}l-7 -4v8z`, class: "head" });
}
