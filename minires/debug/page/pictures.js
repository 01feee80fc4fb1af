// An array's histogram and heat map.

const PICTURE = 204; // pixels of a heat map, at most

function colorOf(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
}

function heatMap(array, what) {
  const picture = array.picture;
  const figure = element("figure", {});
  const [down, across] = picture.grid, [tall, wide] = picture.tile, several = down * across > 1;
  const bytes = Int8Array.from(atob(picture.data), letter => letter.charCodeAt(0));
  const gap = several ? 2 : 0;
  const cell = Math.max(1, Math.min(24, Math.floor(Math.min((PICTURE - gap * across) / (across * wide), (PICTURE - gap * down) / (down * tall)))));
  const height = !several && tall === 1 ? Math.max(cell, 20) : cell; // a vector is a strip
  const canvas = element("canvas", { width: across * (wide * cell + gap) - gap, height: down * (tall * height + gap) - gap, role: "img" });
  canvas.setAttribute("aria-label", `Heat map of ${what}, shape ${shapeText(array.shape)}, largest ${show(array.abs_max)}`);
  const context = canvas.getContext("2d");
  const colors = ["negative", "zero", "positive", "missing"].map(colorOf);
  bytes.forEach((byte, i) => {
    const tile = Math.floor(i / (tall * wide)), row = Math.floor(i / wide) % tall, column = i % wide;
    const end = byte < 0 ? colors[0] : colors[2], t = Math.abs(byte) / 127;
    const color = byte === -128 ? colors[3] : end.map((value, k) => Math.round(colors[1][k] + t * (value - colors[1][k])));
    context.fillStyle = `rgb(${color})`;
    const left = (tile % across) * (wide * cell + gap) + column * cell, top = Math.floor(tile / across) * (tall * height + gap) + row * height;
    context.fillRect(left, top, cell, height);
  });
  const caption = element("figcaption", {}, captionOf(picture));
  canvas.addEventListener("pointermove", event => {
    const scale = canvas.width / canvas.clientWidth;
    const x = event.offsetX * scale, y = event.offsetY * scale;
    const column = Math.floor(x / (wide * cell + gap)), row = Math.floor(y / (tall * height + gap));
    const c = Math.floor((x - column * (wide * cell + gap)) / cell), r = Math.floor((y - row * (tall * height + gap)) / height);
    const byte = bytes[((row * across + column) * tall + r) * wide + c];
    if (byte === undefined || c >= wide || r >= tall) return;
    const value = byte === -128 ? "nan" : Math.sign(byte) * (byte / 127) ** 2 * picture.limit;
    caption.textContent = `about ${typeof value === "string" ? value : rounded(value)} at row ${r}, column ${c}` +
      (several ? ` of tile ${row * across + column}` : "");
  });
  canvas.addEventListener("pointerleave", () => { caption.textContent = captionOf(picture); });
  const ends = element("div", { class: "scale", "aria-hidden": "true", title: "colour grows with √|x|, so that small numbers show" }, rounded(-picture.limit), element("i", {}), rounded(picture.limit));
  figure.append(canvas, ends, caption);
  return figure;
}

function captionOf(picture) {
  const [down, across] = picture.grid, [tall, wide] = picture.tile, shape = picture.of;
  if (picture.filters) return `filters 0–${down - 1} of ${shape[0]} (rows), channels 0–${across - 1} of ${shape[1]}`;
  const pooled = shape.length > 1 && (tall < shape.slice(0, -1).reduce((a, b) => a * b, 1) || wide < shape.at(-1));
  if (shape.length === 4) {
    const merged = tall < shape[2] || wide < shape[3];
    return `first image, ${Math.min(16, shape[1])} of ${shape[1]} channels` + (merged ? "; a cell shows its largest number" : "");
  }
  return pooled || wide < shape.at(-1) ? "a cell shows its largest number" : "every number a cell";
}

function histogramOf(array, what) {
  const figure = element("figure", { class: "histogram" });
  const histogram = array.histogram;
  if (!histogram) {
    figure.append(element("figcaption", {}, array.nans || array.infs ? "nothing finite to count" : "all numbers are equal, or nearly: no histogram"));
    return figure;
  }
  const { low, high, counts } = histogram, most = Math.sqrt(Math.max(...counts)), width = 400 / counts.length;
  const svg = drawing("svg", { viewBox: "0 0 400 110", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", `Histogram of ${what}: from ${show(low)} to ${show(high)}, mean ${show(array.mean)}`);
  counts.forEach((count, i) => {
    const middle = low + (i + .5) * (high - low) / counts.length, half = (high - low) / counts.length / 2;
    const height = count ? Math.max(1.5, 108 * Math.sqrt(count) / most) : 0;
    const side = Math.abs(middle) <= half ? "" : middle < 0 ? "below" : "above";
    const bar = drawing("rect", { x: i * width + .5, y: 110 - height, width: width - 1, height, class: side });
    bar.append(drawing("title", {}, `${count} numbers about ${rounded(middle)}`));
    svg.append(bar);
  });
  svg.append(drawing("line", { x1: 0, x2: 400, y1: 109.5, y2: 109.5, class: "axis" }));
  figure.append(svg, element("div", { class: "ends", "aria-hidden": "true" }, element("span", {}, rounded(low)), element("span", {}, rounded(high))),
    element("figcaption", {}, "height: square root of how many"));
  return figure;
}
