// Switches language and theme in place, keeps both in the address, and draws the charts. No network, no eval.
"use strict";
(() => {
  const root = document.documentElement;
  const words = JSON.parse(document.getElementById("chart-words").textContent);
  const specs = [...document.querySelectorAll("script[data-chart]")].map((script) => [
    script.dataset.chart, JSON.parse(script.textContent)]);
  const views = new Map();
  const asked = new URLSearchParams(location.search);
  const TAG = { en: "en", zh: "zh-Hans" };
  let lang = TAG[asked.get("lang")] ? asked.get("lang")
    : (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
  let theme = ["light", "dark"].includes(asked.get("theme")) ? asked.get("theme") : "";

  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => theme === "dark" || (theme === "" && system.matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();

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

  let turn = 0;
  const draw = async () => {
    const mine = ++turn;
    root.dataset.charts = "drawing";
    const config = look();
    for (const [id, spec] of specs) {
      if (mine !== turn) return;
      const element = document.getElementById(id);
      views.get(id)?.finalize();
      try {
        // ast: expressions are interpreted, so the content policy need not allow eval
        views.set(id, await vegaEmbed(element, resolve(spec), {
          renderer: "svg", actions: false, ast: true, config, tooltip: { theme: dark() ? "dark" : "light" } }));
        element.dataset.drawn = "yes";
      } catch (error) {
        element.textContent = String(error);
        console.error(id, error);
      }
      await new Promise((done) => setTimeout(done));  // lets the page answer between two charts
    }
    if (mine === turn) root.dataset.charts = "drawn";
  };

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
    document.getElementById("theme").setAttribute("aria-pressed", String(dark()));
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
