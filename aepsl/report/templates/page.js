/* What the whole page shares: elements, colours of the masks, preferences, keys. */
"use strict";
(() => {
  const { run } = aepsl;

  /** Set attributes and append children; a function is a listener, text is never markup. */
  const filled = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") node.addEventListener(name, value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  };
  aepsl.element = (tag, attributes = {}, ...children) =>
    filled(document.createElement(tag), attributes, children);
  aepsl.svg = (tag, attributes = {}, ...children) =>
    filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  aepsl.percent = (value) => (value == null ? "–" : `${(100 * value).toFixed(1)}\u00a0%`);

  // Colours. A layer is a grey picture of small numbers; an SVG filter paints number k of n, which is
  // the grey at (k + 1/2) / n, with colour k: [red, green, blue, alpha], 0..255.

  const filters = aepsl.svg("svg", { width: 0, height: 0, "aria-hidden": "true", class: "filters" });
  document.body.append(filters);

  const paint = (id, colours) => {
    const { svg } = aepsl;
    const steps = (channel) => ({
      type: "discrete",
      tableValues: colours.map((colour) => (colour[channel] / 255).toFixed(4)).join(" "),
    });
    const filter = svg(
      "filter",
      { id, x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" },
      svg(
        "feComponentTransfer",
        { in: "SourceGraphic", result: "colour" },
        svg("feFuncR", steps(0)),
        svg("feFuncG", steps(1)),
        svg("feFuncB", steps(2)),
      ),
      // White, with the number as its alpha: colours of low alpha would lose their numbers.
      svg("feColorMatrix", { in: "SourceGraphic", values: "0 0 0 0 1  0 0 0 0 1  0 0 0 0 1  1 0 0 0 0" }),
      svg("feComponentTransfer", { result: "alpha" }, svg("feFuncA", steps(3))),
      svg("feComposite", { in: "colour", in2: "alpha", operator: "in" }),
    );
    document.getElementById(id)?.remove();
    filters.append(filter);
  };

  const HEAT = // 16 colours from dark blue to yellow, equally spaced to the eye (viridis)
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e " +
    "1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725";
  const heat = HEAT.split(" ").map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const REASONS = [
    [0, 0, 0, 0],
    [230, 0, 120, 255],
    [0, 120, 220, 255],
    [90, 90, 90, 255],
  ];
  const ERRORS = [
    [0, 0, 0, 0],
    [0, 114, 255, 255],
    [255, 60, 0, 255],
    [255, 214, 0, 255],
  ];
  const IGNORED = [255, 255, 255, 235];
  const FAINT = 35; // alpha of the other classes while one is highlighted

  let palette = run.palettes.voc;
  const rgb = (colour) => `rgb(${colour.slice(0, 3).join(" ")})`;
  aepsl.reasonColours = REASONS.map(rgb);
  aepsl.errorColours = ERRORS.map(rgb);

  /** Colour the classes; with a number, only that class. */
  aepsl.highlight = (only = null) => {
    const alpha = (k) => (k === 0 ? 0 : only === null || k === only ? 255 : FAINT);
    const colours = palette.map((colour, k) => [...colour, alpha(k)]);
    paint("classes", [...colours, only === null ? IGNORED : [...IGNORED.slice(0, 3), FAINT]]);
  };

  const usePalette = (name) => {
    palette = run.palettes[name] ?? run.palettes.voc;
    palette.forEach((colour, k) => document.documentElement.style.setProperty(`--class-${k}`, rgb(colour)));
    aepsl.highlight();
  };

  paint(
    "heat",
    heat.map((colour, k) => [...colour, k ? 90 + 11 * k : 0]),
  );
  paint("reasons", REASONS);
  paint("errors", ERRORS);
  const mean = [...run.mean_pixel, 255];
  paint("erased", [[0, 0, 0, 0], ...Array(run.classes.length).fill(mean)]);

  // Preferences. A browser may refuse to keep them for pages from disk: then they last until reload.

  const kept = {
    get: (name) => {
      try {
        return localStorage.getItem(`aepsl-${name}`);
      } catch {
        return null;
      }
    },
    set: (name, value) => {
      try {
        localStorage.setItem(`aepsl-${name}`, value);
      } catch {
        /* see above */
      }
    },
  };
  const preference = (name, apply) => {
    const select = document.getElementById(name);
    const saved = kept.get(name);
    if ([...select.options].some((option) => option.value === saved)) select.value = saved;
    select.addEventListener("change", () => {
      apply(select.value);
      kept.set(name, select.value);
    });
    apply(select.value);
  };
  preference("palette", usePalette);
  preference("theme", (theme) => {
    document.documentElement.style.colorScheme = theme;
  });

  // Opacity of the masks: one variable, any number of sliders.

  let opacity = 0.6;
  let before = opacity;
  const setOpacity = (value) => {
    opacity = value;
    document.documentElement.style.setProperty("--opacity", value);
    for (const slider of document.querySelectorAll(".opacity")) slider.value = value;
  };
  aepsl.opacitySlider = () =>
    aepsl.element("input", {
      type: "range",
      class: "opacity",
      min: 0,
      max: 1,
      step: 0.05,
      value: opacity,
      "aria-label": "Opacity of the masks",
      input: (event) => setOpacity(Number(event.target.value)),
    });
  setOpacity(opacity);

  const toggleMasks = () => {
    if (opacity > 0) before = opacity;
    setOpacity(opacity > 0 ? 0 : before);
  };

  const help = document.getElementById("help");
  const showHelp = () => {
    if (!help.open) help.showModal();
  };
  document.getElementById("help-button").addEventListener("click", showHelp);

  /** Keys that scripts add; a key that is typed into a field is text. */
  aepsl.keys = { "?": showHelp, o: toggleMasks };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("input:not([type=range]), select, textarea")) return;
    if (help.open) return;
    const action = aepsl.keys[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
})();
