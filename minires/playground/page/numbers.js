// Numbers as text.

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

const powerOfTen = exponent => "10" + [...String(exponent)].map(digit => SUPERSCRIPTS[digit]).join("");

// Two digits: "24", "0.059", "7.8 × 10³".
function inWords(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "∞";
  const rounded = Number(value.toPrecision(2));
  if (rounded >= 0.01 && rounded < 1000) return String(rounded);
  const [digits, exponent] = value.toExponential(1).split("e");
  return `${digits} × ${powerOfTen(Number(exponent))}`;
}
