// The switches: which there are, what they may be, the presets, and the address that holds them.

const CHOICES = {
  skip: ["none", "identity", "projected", "scaled"],
  order: ["post", "pre", "misplaced"],
  norm: ["none", "batch"],
  init: ["pytorch", "lecun", "he"],
  activation: ["relu", "elu", "selu", "tanh", "none"],
  width: [32, 64, 128, 256],
};
const DEPTHS = { least: 4, most: 100, step: 2 }; // of linear layers; a residual block has two
const MOST_SEED = 9999;

const HE_2015 = { depth: 50, skip: "identity", order: "post", norm: "batch", init: "he", activation: "relu", width: 128, seed: 0 };
const PRESETS = [
  { name: "claim", chapter: 9, settings: { ...HE_2015, skip: "none", norm: "none", init: "pytorch" } },
  { name: "he", chapter: 9, settings: { ...HE_2015, skip: "none", norm: "none" } },
  { name: "plain", chapter: 10, settings: { ...HE_2015, skip: "none" } },
  { name: "he2015", chapter: 11, settings: HE_2015 },
  { name: "alone", chapter: 14, settings: { ...HE_2015, norm: "none" } },
  { name: "skipinit", chapter: 14, settings: { ...HE_2015, skip: "scaled", order: "pre", norm: "none" } },
  { name: "misplaced", chapter: 12, settings: { ...HE_2015, order: "misplaced" } },
  { name: "projected", chapter: 12, settings: { ...HE_2015, skip: "projected" } },
];
const CHAPTERS = { 9: "09_initialization", 10: "10_going_deeper", 11: "11_residual_add", 12: "12_the_family", 14: "14_with_and_without_skips" };
const OPENING = ["claim", "plain", "he2015"]; // shown one after the other where the address says nothing

const presetCalled = name => PRESETS.find(preset => preset.name === name);
const presetOf = settings => PRESETS.find(preset => sameSettings(preset.settings, settings));
const sameSettings = (a, b) => differences(a, b).length === 0;
const differences = (a, b) => Object.keys(HE_2015).filter(key => a[key] !== b[key]);

// A second norm can be misplaced only where there are two.
function canBe(key, value, settings) {
  return !(key === "order" && value === "misplaced") || (settings.skip !== "none" && settings.norm === "batch");
}

// The nearest settings that there are: whatever the address says, a network comes of it.
function valid(wanted) {
  const settings = { ...HE_2015 };
  for (const key in CHOICES) {
    const choice = CHOICES[key].find(value => String(value) === String(wanted[key]));
    if (choice !== undefined) settings[key] = choice;
  }
  if (!canBe("order", settings.order, settings)) settings.order = "post";
  const within = (text, least, most, otherwise) => /^\d{1,6}$/.test(text) ? Math.min(most, Math.max(least, Number(text))) : otherwise;
  const depth = within(wanted.depth, DEPTHS.least, DEPTHS.most, settings.depth);
  settings.depth = depth - depth % DEPTHS.step;
  settings.seed = within(wanted.seed, 0, MOST_SEED, settings.seed);
  return settings;
}

// What the address holds, as an object of texts.
function readAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function writeAddress(entries) {
  const address = new URLSearchParams(Object.entries(entries).filter(([, value]) => value !== undefined));
  history.replaceState(null, "", "#" + address);
}
