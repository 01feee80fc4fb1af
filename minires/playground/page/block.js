// What a block is made of, from its switches: the names of its layers, in the order of the forward pass.
//
//   branch  what is computed from h          skip    what becomes of h beside it, or null where nothing is added
//   scaled  whether the branch is made small  after   what follows the sum
//
// The worker builds the network from it, the page draws it.

const N = 128; // inputs in the batch

function blockOf({ skip, norm, order, activation }) {
  const bn = norm === "batch" ? ["norm"] : [];
  const act = activation === "none" ? [] : ["activation"];
  if (skip === "none") {
    const plain = order === "pre" ? [...bn, ...act, "linear"] : ["linear", ...bn, ...act];
    return { branch: plain, scaled: false, skip: null, after: [] };
  }
  const branch = {
    post: ["linear", ...bn, ...act, "linear", ...bn], // He et al. 2015, arXiv 1512.03385, figure 2
    pre: [...bn, ...act, "linear", ...bn, ...act, "linear"], // He et al. 2016, arXiv 1603.05027
    misplaced: ["linear", ...bn, ...act, ...bn, "linear"], // a mistake: what the branch adds is not normalized
  }[order];
  return { branch, scaled: skip === "scaled", skip: skip === "projected" ? ["linear"] : [], after: order === "pre" ? [] : act };
}

// Linear layers from one h to the next, those of the branch.
function layersIn(block) {
  return block.branch.filter(layer => layer === "linear").length;
}
