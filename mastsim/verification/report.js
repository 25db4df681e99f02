(() => {
  "use strict";
  const form = document.querySelector(".filters");
  const sections = [...document.querySelectorAll("main > section")];
  const tables = [...document.querySelectorAll("main details")];
  const ticked = (name) =>
    new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value));

  function apply() {
    const chosen = form.elements.theorem.value;
    const tiers = ticked("tier");
    const verdicts = ticked("verdict");
    let shown = 0;
    let all = 0;
    for (const section of sections) {
      let here = 0;
      for (const row of section.querySelectorAll("tbody tr")) {
        const fits = (!chosen || section.id === chosen) && tiers.has(row.dataset.tier) && verdicts.has(row.dataset.verdict);
        row.hidden = !fits;
        here += fits;
        all += 1;
      }
      section.hidden = here === 0;
      shown += here;
    }
    for (const link of document.querySelectorAll("nav li > a")) {
      const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      link.parentElement.hidden = section !== null && section.hidden;
    }
    form.querySelector("output").value = `${shown} of ${all} verdicts shown`;
  }

  function toggleTables() {
    const open = tables.some((table) => !table.open);
    for (const table of tables) table.open = open;
    form.elements.open.textContent = open ? "fold all tables" : "open all tables";
  }

  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = tables.filter((table) => !table.open);
    for (const table of folded) table.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const table of folded) table.open = false;
  });
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.open.addEventListener("click", toggleTables);
  form.hidden = false;
  apply();
})();
