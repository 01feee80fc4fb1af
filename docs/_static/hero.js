// Moves the landing page's picture through the training that it shows: a slider, and a button that plays it.
// All words are the page's own; without this script the picture stands as it was before training.
function hero(box) {
  const { moments, runs, frame } = JSON.parse(box.querySelector(".hero-picture").dataset.numbers);
  const find = (name) => box.querySelector(name);
  const controls = find(".hero-controls");
  const words = { play: find(".hero-play").textContent, pause: find(".hero-pause").textContent };
  const label = find(".hero-label").textContent;
  controls.innerHTML = "";
  const button = controls.appendChild(document.createElement("button"));
  const slider = controls.appendChild(document.createElement("input"));
  const shown = controls.appendChild(document.createElement("output"));
  Object.assign(slider, { type: "range", min: 0, max: moments.length - 1, step: 1, value: 0 });
  slider.setAttribute("aria-label", label);
  let at = 0, last = null;

  function fit() {  // on a phone the picture is as high and half as wide, so that its words can be read
    const svg = find("svg"), wide = box.clientWidth < 600 ? 480 : 960;
    frame.right = wide - 20;
    svg.setAttribute("viewBox", `0 0 ${wide} 380`);
    for (const line of svg.querySelectorAll(".grid")) {
      line.setAttribute("d", line.getAttribute("d").replace(/H.*/, `H${frame.right}`));
    }
    draw();
  }

  function draw() {
    const before = Math.floor(at), after = Math.min(before + 1, moments.length - 1), part = at - before;
    for (const [name, run] of Object.entries(runs)) {
      const powers = run.powers[before].map((power, i) => power + part * (run.powers[after][i] - power));
      const points = powers.map((power, i) => [
        frame.left + (i / (powers.length - 1)) * (frame.right - frame.left),
        frame.top + ((frame.high - power) / (frame.high - frame.low)) * (frame.bottom - frame.top),
      ]);
      find(`.curve.${name}`).setAttribute("d", "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"));
      find(`.dot.${name}`).setAttribute("cy", points[0][1]);
    }
    const nearest = Math.round(at);
    slider.value = nearest;
    slider.setAttribute("aria-valuetext", `${moments[nearest]}`);
    shown.textContent = `${label}: ${moments[nearest]}`;
    find(".hero-step").textContent = moments[nearest];
    for (const name of ["plain", "residual"]) find(`.hero-${name}`).textContent = runs[name].loss[nearest].toFixed(2);
  }

  function move(time) {
    if (last === null) return;
    const passed = Math.max(time - last, 0);  // a frame's time may lie before the click that began it
    at = Math.min(at + passed / 800, moments.length - 1);
    last = time;
    draw();
    if (at < moments.length - 1) requestAnimationFrame(move); else stop();
  }

  function stop() {
    last = null;
    button.textContent = `▶ ${words.play}`;
  }

  function play() {
    if (at >= moments.length - 1) at = 0;
    button.textContent = `❚❚ ${words.pause}`;
    last = performance.now();
    requestAnimationFrame(move);
  }

  button.addEventListener("click", () => (last === null ? play() : stop()));
  slider.addEventListener("input", () => {
    stop();
    at = Number(slider.value);
    draw();
  });
  stop();
  fit();
  addEventListener("resize", fit);
  box.classList.add("live");
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
}
addEventListener("DOMContentLoaded", () => document.querySelectorAll(".hero").forEach(hero));
