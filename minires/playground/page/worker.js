// The worker: takes settings, gives back norms, while the page stays free to answer.
//
// A message may bring its own arrays, `given`: x, grad and the list of weights in the order of `build`. Else they are drawn.

const STD = { pytorch: C => Math.sqrt(1 / (3 * C)), lecun: C => Math.sqrt(1 / C), he: C => Math.sqrt(2 / C) }; // of a weight

let drawn = { key: "", weights: new Map() }; // of the last seed and width: deeper networks draw only what is new

function draw(settings) {
  const C = settings.width, key = `${settings.seed} ${C}`;
  if (drawn.key !== key) drawn = { key, weights: new Map() };
  function nextWeight(role, number) {
    const name = role + number;
    if (!drawn.weights.has(name)) drawn.weights.set(name, standardNormal(settings.seed, role, number, C * C));
    const std = STD[role === "skip" ? "lecun" : settings.init](C); // a projection keeps the size of what it is given
    return drawn.weights.get(name).map(value => value * std);
  }
  return { x: standardNormal(settings.seed, "x", 0, N * C), grad: standardNormal(settings.seed, "grad", 0, N * C).map(value => value / N), nextWeight };
}

function handed(given) {
  const weights = given.weights.values();
  return { x: given.x, grad: given.grad, nextWeight: () => weights.next().value };
}

onmessage = ({ data: { id, settings, given } }) => {
  const start = performance.now();
  const result = measure(settings, given ? handed(given) : draw(settings));
  postMessage({ id, ...result, milliseconds: performance.now() - start });
};
