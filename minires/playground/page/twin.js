// The fully connected twin of a residual network, forward and backward by hand.
//
// A batch of N inputs of C numbers goes through L linear layers of C units, without biases; a random gradient is handed to
// the last layer and goes back to the input. What is measured on the way are the norms of every h, the input or a block's
// output, and of dL/dh. Numbers are float64, arrays (N, C) lie row after row. Each layer has a forward, and below it its
// backward: as in minires/lab/mlp_twin.py, whose numbers these are.

"use strict";

const EPS = 1e-5; // batch norm's

// y = a bᵀ, with a (N, C) and b (C, C). Four sums at a time: each number that is fetched is used twice.
function product(a, b, C) {
  const y = new Float64Array(N * C);
  for (let n = 0; n < N; n += 2) {
    for (let c = 0; c < C; c += 2) {
      const row = n * C, column = c * C;
      let y00 = 0, y01 = 0, y10 = 0, y11 = 0;
      for (let k = 0; k < C; k++) {
        const a0 = a[row + k], a1 = a[row + C + k], b0 = b[column + k], b1 = b[column + C + k];
        y00 += a0 * b0;
        y01 += a0 * b1;
        y10 += a1 * b0;
        y11 += a1 * b1;
      }
      y[row + c] = y00;
      y[row + c + 1] = y01;
      y[row + C + c] = y10;
      y[row + C + c + 1] = y11;
    }
  }
  return y;
}

function transposed(matrix, C) {
  const result = new Float64Array(C * C);
  for (let i = 0; i < C; i++) for (let j = 0; j < C; j++) result[j * C + i] = matrix[i * C + j];
  return result;
}

// y = x W, so dL/dx = dL/dy Wᵀ. The weight (C, C) has a row for every input.
const linear = {
  forward(layer, x, C) {
    return product(x, transposed(layer.weight, C), C);
  },
  backward(layer, grad_y, C) {
    return product(grad_y, layer.weight, C);
  },
};

// Every column of the batch gets mean 0 and variance 1: y = (x − mean) / √(var + ε). Mean and variance come from x, so
// they have gradients too: dL/dx = (dL/dy − mean(dL/dy) − y mean(dL/dy · y)) / √(var + ε).
const norm = {
  forward(layer, x, C) {
    const y = new Float64Array(N * C);
    layer.inv_std = new Float64Array(C);
    for (let c = 0; c < C; c++) {
      let sum = 0, squares = 0;
      for (let i = c; i < N * C; i += C) sum += x[i];
      const mean = sum / N;
      for (let i = c; i < N * C; i += C) squares += (x[i] - mean) ** 2;
      layer.inv_std[c] = 1 / Math.sqrt(squares / N + EPS);
      for (let i = c; i < N * C; i += C) y[i] = (x[i] - mean) * layer.inv_std[c];
    }
    layer.y = y;
    return y;
  },
  backward(layer, grad_y, C) {
    const grad_x = new Float64Array(N * C), { y, inv_std } = layer;
    for (let c = 0; c < C; c++) {
      let sum = 0, along = 0;
      for (let i = c; i < N * C; i += C) {
        sum += grad_y[i];
        along += grad_y[i] * y[i];
      }
      for (let i = c; i < N * C; i += C) grad_x[i] = (grad_y[i] - sum / N - y[i] * along / N) * inv_std[c];
    }
    return grad_x;
  },
};

// y = f(x), so dL/dx = dL/dy · f′(x). SELU's two numbers are those of Klambauer et al. 2017, arXiv 1706.02515.
const ALPHA = 1.6732632423543772, SCALE = 1.0507009873554805;
const functions = {
  relu: x => (x > 0 ? x : 0),
  elu: x => (x > 0 ? x : Math.expm1(x)),
  selu: x => SCALE * (x > 0 ? x : ALPHA * Math.expm1(x)),
  tanh: x => Math.tanh(x),
};
const slopes = {
  relu: x => (x > 0 ? 1 : 0),
  elu: x => (x > 0 ? 1 : Math.exp(x)),
  selu: x => SCALE * (x > 0 ? 1 : ALPHA * Math.exp(x)),
  tanh: x => { // 1 / cosh², and not 1 − tanh², of which nothing is left where tanh is nearly 1
    const e = Math.exp(-Math.abs(x));
    return (2 * e / (1 + e * e)) ** 2;
  },
};
const activation = {
  forward(layer, x) {
    layer.x = x;
    return x.map(functions[layer.name]);
  },
  backward(layer, grad_y) {
    const slope = slopes[layer.name];
    return grad_y.map((grad, i) => grad * slope(layer.x[i]));
  },
};

const LAYERS = { linear, norm, activation };

function forwardThrough(layers, x, C) {
  for (const layer of layers) x = LAYERS[layer.kind].forward(layer, x, C);
  return x;
}

function backwardThrough(layers, grad, C) {
  for (const layer of [...layers].reverse()) grad = LAYERS[layer.kind].backward(layer, grad, C);
  return grad;
}

// From h to the next h: h ← after(skip(h) + scale · branch(h)), or, without a skip, h ← branch(h).
function blockForward(block, h, C) {
  const branch = forwardThrough(block.branch, h, C);
  if (block.skip === null) return branch;
  const skip = forwardThrough(block.skip, h, C);
  return forwardThrough(block.after, skip.map((value, i) => value + block.scale * branch[i]), C);
}

// The sum hands the same gradient to both sides; h was used twice, so its two gradients are added.
function blockBackward(block, grad, C) {
  if (block.skip === null) return backwardThrough(block.branch, grad, C);
  const grad_sum = backwardThrough(block.after, grad, C);
  const grad_branch = backwardThrough(block.branch, grad_sum.map(value => block.scale * value), C);
  const grad_skip = backwardThrough(block.skip, grad_sum, C);
  return grad_skip.map((value, i) => value + grad_branch[i]);
}

// The blocks of a network of `depth` linear layers, with their weights: nextWeight(role, number) gives one after the other,
// for the layers of a block first, then for its skip.
function build(settings, nextWeight) {
  const plan = blockOf(settings), count = settings.depth / layersIn(plan), blocks = [];
  let number = 0;
  for (let i = 0; i < count; i++) {
    const make = role => kind => ({ kind, name: settings.activation, weight: kind === "linear" ? nextWeight(role, role === "skip" ? i : number++) : null });
    const branch = plan.branch.map(make("layer"));
    const skip = plan.skip && plan.skip.map(make("skip"));
    blocks.push({ branch, skip, after: plan.after.map(make("layer")), scale: plan.scaled ? 1 / Math.sqrt(count) : 1 });
  }
  return blocks;
}

// √Σ x², by way of the largest, lest the squares of small numbers become 0.
function normOf(x) {
  let largest = 0, sum = 0;
  for (const value of x) if (!(Math.abs(value) <= largest)) largest = Math.abs(value);
  if (largest === 0 || !Number.isFinite(largest)) return largest;
  for (const value of x) sum += (value / largest) ** 2;
  return largest * Math.sqrt(sum);
}

// Forward and backward. `x` and `grad` are (N, C), `weights` a function as in `build`. Returns, from the input to the last
// layer, the number of linear layers below each h, ‖h‖ and ‖dL/dh‖.
function measure(settings, { x, grad, nextWeight }) {
  const C = settings.width, blocks = build(settings, nextWeight), step = settings.depth / blocks.length;
  const norm_h = [normOf(x)], norm_grad = [normOf(grad)];
  let h = x;
  for (const block of blocks) {
    h = blockForward(block, h, C);
    norm_h.push(normOf(h));
  }
  let grad_h = grad;
  for (const block of [...blocks].reverse()) {
    grad_h = blockBackward(block, grad_h, C);
    norm_grad.unshift(normOf(grad_h));
  }
  return { layers: norm_h.map((_, i) => i * step), norm_h, norm_grad };
}
