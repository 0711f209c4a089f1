// Switches language and theme in place, draws the charts, answers the chooser, lays out rows. No network, no eval.
"use strict";
(() => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const words = read("script-words");
  const specs = new Map([...document.querySelectorAll("script[data-chart]")].map((script) => [
    script.dataset.chart, JSON.parse(script.textContent)]));
  const views = new Map();
  const asked = new URLSearchParams(location.search);
  const TAG = { en: "en", zh: "zh-Hans" };
  let lang = TAG[asked.get("lang")] ? asked.get("lang")
    : (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
  let theme = ["light", "dark"].includes(asked.get("theme")) ? asked.get("theme") : "";
  const word = (key) => words[lang][key] ?? key;

  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => theme === "dark" || (theme === "" && system.matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // ---- charts

  // every string of a chart: colours by theme, texts by language
  const resolve = (value) => {
    if (typeof value === "string") {
      if (!value.includes("@@")) return value;
      const named = /^@@colour\.(\w+)$/.exec(value);
      if (named) return colour("c-" + named[1].replaceAll("_", "-"));
      return value.replace(/@@([a-z_]+(?:\.\w+)+)/g, (whole, key) => words[lang][key] ?? whole);
    }
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
    }
    return value;
  };

  const look = () => {
    const font = getComputedStyle(root).getPropertyValue("--sans").trim();
    const [ink, soft, rule] = [colour("ink"), colour("soft"), colour("rule")];
    return {
      background: "transparent", font,
      view: { stroke: null },
      axis: { labelColor: soft, titleColor: soft, gridColor: rule, domainColor: rule, tickColor: rule, labelFontSize: 11,
              titleFontSize: 11.5, titleFontWeight: "normal", titlePadding: 8, labelPadding: 5, tickSize: 4 },
      axisY: { domain: false, ticks: false },
      axisX: { labelOverlap: "greedy" },
      text: { color: ink, fontSize: 12 },
    };
  };

  const drawOne = async (id, config) => {
    const element = document.getElementById(id);
    views.get(id)?.finalize();
    delete element.dataset.drawn;
    if (!element.offsetParent) return;  // in a folded part, which has no width; drawn when it is opened
    try {
      // ast: expressions are interpreted, so the content policy need not allow eval
      const drawn = await vegaEmbed(element, resolve(specs.get(id)), {
        renderer: "svg", actions: false, ast: true, config, tooltip: { theme: dark() ? "dark" : "light" } });
      views.set(id, drawn);
      element.dataset.drawn = "yes";
      explorers.get(id)?.();
    } catch (error) {
      element.textContent = String(error);
      console.error(id, error);
    }
  };

  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    root.dataset.charts = "drawing";
    const config = look();
    for (const id of specs.keys()) {
      if (mine !== turn) return;
      await drawOne(id, config);
      await new Promise((done) => setTimeout(done));  // lets the page answer between two charts
    }
    if (mine === turn) root.dataset.charts = "drawn";
  };
  document.addEventListener("toggle", async ({ target }) => {
    if (!target.open) return;
    for (const element of target.querySelectorAll(".chart:not([data-drawn])")) await drawOne(element.id, look());
  }, true);

  // numbers as the page prints them elsewhere: about three digits
  const figure = (value) => {
    if (value === null) return word("figure.never");
    const size = Math.abs(value);
    if (size !== 0 && size < 1e-4) return value.toExponential(1).replace("-", "\u2212");
    const digits = { maximumSignificantDigits: size >= 100 ? Math.ceil(Math.log10(size + 1)) : 3 };
    return new Intl.NumberFormat(TAG[lang], digits).format(value);
  };

  const valuesOf = (id) => specs.get(id).data.values;

  // ---- a chart with a slider: what each replicate says at the place

  const explorers = new Map();
  for (const box of document.querySelectorAll("[data-explorer]")) {
    const id = box.dataset.explorer, ats = box.dataset.ats.split("|");
    const slider = box.querySelector("input"), output = box.querySelector("output");
    box.querySelector(".slider").hidden = false;
    const show = () => {
      const place = Number(slider.value);
      output.textContent = ats[place];
      slider.setAttribute("aria-valuetext", ats[place]);
      for (const cell of box.querySelectorAll("[data-of]")) {
        const found = valuesOf(id).filter((row) => row.place === place && row.architecture === cell.dataset.of);
        cell.textContent = found.map((row) => figure(row.value)).join(" · ") || "–";
      }
      views.get(id)?.view.signal("place", place).run();
    };
    slider.addEventListener("input", show);
    explorers.set(id, show);
  }

  // a map with switches: layer and head
  for (const box of document.querySelectorAll("[data-map]")) {
    const id = box.dataset.map;
    box.querySelector(".switches").hidden = false;
    const show = () => {
      const view = views.get(id)?.view;
      if (!view) return;
      for (const select of box.querySelectorAll("select")) view.signal(select.name, Number(select.value));
      view.run();
    };
    box.addEventListener("change", show);
    explorers.set(id, show);
  }

  // ---- the numbers behind a chart, and the rows behind a claim, laid out when they are asked for

  const table = (head, lines, numeric) => {
    const made = make("table", "", { class: "numbers" });
    made.append(document.createElement("thead"), document.createElement("tbody"));
    const row = document.createElement("tr");
    row.append(...head.map((name) => make("th", name, { scope: "col" })));
    made.tHead.append(row);
    for (const line of lines) {
      const each = document.createElement("tr");
      each.append(...line.map((cell, i) => make("td", cell, numeric[i] ? {} : { class: "name" })));
      made.tBodies[0].append(each);
    }
    return made;
  };

  const behind = (details) => {
    const rows = valuesOf(details.dataset.behind), first = rows[0] ?? {};
    const told = [["label", word("table.model")], ["at", ""], ["replicate", word("table.replicate")], ["value", ""],
                  ["estimate", ""], ["low", ""], ["high", ""], ["verdict", ""], ["run", word("table.run")]]
      .filter(([name]) => name in first);
    const cell = (row, name) => name === "replicate" || name === "at" ? String(row[name] ?? "")
      : typeof row[name] === "string" ? resolve(row[name]) : figure(row[name]);
    const lines = rows.map((row) => told.map(([name]) => cell(row, name)));
    const numeric = told.map(([name]) => !["label", "run", "verdict"].includes(name));
    details.querySelector(".table-wrap").replaceChildren(table(told.map(([name, said]) => said || name), lines, numeric));
  };

  let evidence;
  const rowsOf = (claim) => {
    evidence ??= { ...read("evidence"), claims: read("claim-rows") };
    return evidence.claims[claim].map((row) => evidence.names.map((name) => {
      const value = evidence.columns[name][row];
      return name in evidence.texts ? evidence.texts[name][value] : value ?? "";
    }));
  };
  const quoted = (value) => /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const csv = (claim) => {
    const rows = rowsOf(claim);
    return [evidence.names, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  };

  for (const details of document.querySelectorAll("details.rows")) {
    const claim = details.dataset.claim;
    details.querySelector(".rows-tools").hidden = false;
    details.querySelector("[data-noscript]").hidden = true;
    details.addEventListener("toggle", () => {
      const box = details.querySelector("[data-table]");
      if (!details.open || box.childElementCount) return;
      const rows = rowsOf(claim);
      box.append(table(evidence.names, rows.map((row) => row.map(String)),
        evidence.names.map((name) => !(name in evidence.texts))));
    });
    details.querySelector("[data-copy]").addEventListener("click", async () => {
      await navigator.clipboard.writeText(csv(claim));
      details.querySelector("[data-said]").textContent = word("claim.copied");
    });
    details.querySelector("[data-download]").addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([csv(claim)], { type: "text/csv" }));
      make("a", "", { href: address, download: `${claim}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }
  for (const details of document.querySelectorAll("[data-behind]")) {
    details.addEventListener("toggle", () => details.open && behind(details));
  }

  // ---- the chooser: of the situations that were judged, those that are the reader's

  const form = document.getElementById("chooser");
  const situations = form ? read("situations") : [];
  const facets = form ? form.dataset.facets.split(" ") : [];

  // What is asked exactly must agree. Of a series over tokens, labels, length or batch the nearest value counts if it is no more
  // than a doubling away, and where there is such a series, situations that do not speak of it step back. Where there is
  // none, the reader is told that what was asked for changes nothing.
  const chosen = (want) => {
    let found = situations.filter((one) => ["criterion", "task", "device"].every(
      (name) => !want[name] || !one[name] || one[name] === want[name]));
    const unheard = [];
    for (const facet of facets) {
      if (!want[facet]) continue;
      const speaks = found.filter((one) => one.facet === facet);
      if (!speaks.length) {
        unheard.push(facet);
        continue;
      }
      const off = (one) => Math.abs(Math.log2(Math.max(one.at, 1)) - Math.log2(Math.max(want[facet], 1)));
      const least = new Map();
      for (const one of speaks) least.set(one.series, Math.min(least.get(one.series) ?? Infinity, off(one)));
      found = speaks.filter((one) => off(one) <= 1 && off(one) === least.get(one.series));
    }
    return [found, unheard];
  };
  const answer = (found) => {
    const sides = new Set(found.map((one) => one.favoured));
    sides.delete("unresolved");
    if (!found.length) return "nothing";
    if (!sides.size) return "unresolved";
    const named = [...sides].filter((side) => side !== "no_difference");
    if (!named.length) return "no_difference";
    if (named.length > 1) return "depends";
    const count = (side) => found.filter((one) => one.favoured === side).length;
    if (2 * count("unresolved") > found.length) return "mostly " + named[0];
    return (count("no_difference") > count(named[0]) ? "alike " : "for ") + named[0];
  };

  // the texts of an entry were escaped when the page was written, as all its other texts were
  const entry = (one) => {
    const line = document.createElement("li");
    line.dataset.pointer = one.pointer;
    line.dataset.favoured = one.favoured;
    const parts = [`<span class="metric">${one.shown.metric}</span>`,
      `<span>${one.shown.where.map((chip) => `<span class="chip">${chip}</span>`).join(" ")}</span>`, one.shown.effect,
      `<span class="muted">${one.shown.means}</span>`];
    const side = document.querySelector(`template[data-side="${CSS.escape(one.favoured)}"]`);
    line.append(side.content.cloneNode(true));
    line.insertAdjacentHTML("beforeend", " " + parts.join(" "));
    return line;
  };
  const choose = () => {
    const want = Object.fromEntries(new FormData(form));
    for (const facet of facets) want[facet] = Number(want[facet] || 0);
    const [found, unheard] = chosen(want), said = answer(found);
    const box = document.getElementById("chosen");
    box.hidden = false;
    for (const line of box.querySelectorAll("[data-answer]")) line.hidden = line.dataset.answer !== said;
    box.dataset.answer = said;
    const side = /^(for|mostly) /.test(said) ? said.slice(said.indexOf(" ") + 1) : "";
    for (const note of box.querySelectorAll("[data-unheard]")) note.hidden = !unheard.includes(note.dataset.unheard);
    const counted = (name) => found.filter((one) => one.favoured === name).length;
    for (const place of box.querySelectorAll("[data-count]")) {
      const name = place.dataset.count;
      place.textContent = name === "all" ? found.length : counted(name === "side" ? side : name);
    }
    for (const note of document.querySelectorAll("[data-warns]")) {
      note.hidden = want.criterion !== "quality" || note.dataset.warns !== want.task;
    }
    box.querySelector(".chosen-list").replaceChildren(...found.map(entry));
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", choose);
    choose();
  }

  // ---- language, theme, address

  const remember = () => {
    const query = new URLSearchParams(location.search);
    query.set("lang", lang);
    if (theme) query.set("theme", theme);
    try { history.replaceState(null, "", "?" + query + location.hash); } catch { /* some viewers forbid it */ }
  };

  const apply = () => {
    root.lang = TAG[lang];
    root.dataset.lang = lang;
    root.dataset.theme = dark() ? "dark" : "light";
    document.title = lang === "zh" ? root.dataset.titleZh : root.dataset.titleEn;
    for (const button of document.querySelectorAll("[data-set-lang]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setLang === lang));
    }
    for (const option of document.querySelectorAll("option[data-word]")) {
      if (words[lang][option.dataset.word]) option.textContent = word(option.dataset.word);
    }
    document.getElementById("theme").setAttribute("aria-pressed", String(dark()));
    for (const details of document.querySelectorAll("[data-behind][open]")) behind(details);
    draw();
  };

  for (const button of document.querySelectorAll("[data-set-lang]")) {
    button.addEventListener("click", () => { lang = button.dataset.setLang; remember(); apply(); });
  }
  document.getElementById("theme").addEventListener("click", () => {
    theme = dark() ? "light" : "dark";
    remember();
    apply();
  });
  system.addEventListener("change", () => { if (!theme) apply(); });

  // a link into a folded part opens it
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target && target.closest("details")) target.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  apply();
  unfold();
})();
