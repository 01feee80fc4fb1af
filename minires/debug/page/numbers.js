// Numbers as text, and the scale of gradient norms.

function show(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value.replace("inf", "∞").replace("nan", "NaN").replace("-", "−");
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-3 && size < 1e5 ? Number(value.toPrecision(4)).toString() : value.toExponential(2).replace("e+", "e");
  return text.replaceAll("-", "−");
}

function rounded(value) {
  return show(Number(value.toPrecision(3)));
}

function shapeText(shape) {
  return shape.length ? "(" + shape.join(", ") + (shape.length === 1 ? ",)" : ")") : "()";
}

// log10 of gradient norms onto 0 … 1, over all passes of the page.
class NormScale {
  constructor(norms) {
    const logs = norms.filter(norm => typeof norm === "number" && norm > 0).map(Math.log10);
    this.low = Math.floor(logs.reduce((a, b) => Math.min(a, b), Infinity) * 2) / 2;
    this.high = Math.ceil(logs.reduce((a, b) => Math.max(a, b), -Infinity) * 2) / 2;
    if (!logs.length) [this.low, this.high] = [-1, 0];
    if (this.high - this.low < 1) this.low = this.high - 1;
  }
  at(norm) {
    if (typeof norm !== "number") return 1;
    if (norm <= 0) return 0;
    return Math.min(1, Math.max(0, (Math.log10(norm) - this.low) / (this.high - this.low)));
  }
  color(norm) { return `var(--ramp-${Math.round(8 * this.at(norm))})`; }
  width(norm) { return 1.5 + 8.5 * this.at(norm); }
}

function powerOfTen(exponent) {
  const [digit, power] = (10 ** exponent).toExponential(0).split("e");
  return Math.abs(power) < 3 ? show(Number(digit + "e" + power)) : `${digit}e${power.replace("+", "").replace("-", "−")}`;
}
