// Random numbers that can be had again: the same seed, role and number give the same array. So networks that differ in their
// switches alone have the same weights, up to the size that the initialization gives them.
//
// sfc32 of C. Doty-Humphrey's PractRand, and normal numbers by Box and Muller (1958). NumPy's generator is another one, so
// a seed gives other weights here than there.

function sfc32(a, b, c) {
  let counter = 1;
  function next() {
    const result = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + result | 0;
    return result >>> 0;
  }
  for (let i = 0; i < 15; i++) next(); // until the seed is everywhere
  return next;
}

const ROLES = { x: 0, grad: 1, layer: 2, skip: 3 };

// `count` independent normal numbers, mean 0 and standard deviation 1.
function standardNormal(seed, role, number, count) {
  const next = sfc32(seed, ROLES[role], number), result = new Float64Array(count);
  const uniform = () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53; // in [0, 1)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    result[i] = radius * Math.cos(angle);
    result[i + 1] = radius * Math.sin(angle);
  }
  return result;
}
