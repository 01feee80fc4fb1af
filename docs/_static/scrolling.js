// What scrolls sideways by itself can be reached with the keyboard: code, formulas and tables that are wider than the page.
function reachable() {
  for (const box of document.querySelectorAll(".highlight pre, div.math, .table-wrapper, article table, .wide")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
    } else if (box.tabIndex === 0) {
      box.removeAttribute("tabindex");
    }
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
