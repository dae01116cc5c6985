/* The gallery: filter, sort, pages of cards, and one image opened with the pictures of every stage. */
"use strict";
(() => {
  const { element, percent, images, run } = aepsl;
  const { CAUSES, LAYERS, SPLITS, facts, layerOf, names, picture, rows, swatch } = aepsl;
  const PER_PAGE = 200;
  const at = (id) => document.getElementById(id);

  // State: what the address of the page says; an empty value is the default.

  const ioUOf = (image) => {
    if (!state.class) return image.iou;
    return image.by_class?.find(([k]) => String(k) === state.class)?.[1];
  };
  const SORTS = {
    iou: { title: "lowest IoU", of: ioUOf, sign: 1 },
    disagreement: { title: "most disagreement between stages", of: (i) => i.disagreement, sign: -1 },
    ignored: { title: "most ignored", of: (i) => i.ignored, sign: -1 },
    confidence: { title: "least confident", of: (i) => i.confidence, sign: 1 },
    order: { title: "as in the split", of: (i, number) => number, sign: 1 },
  };
  const available = Object.keys(SORTS).filter((s) => s === "order" || images.some((i) => i[s] != null));
  const DEFAULTS = {
    class: "",
    split: "",
    cause: "",
    id: "",
    sort: available[0],
    over: "final",
    page: "1",
    image: "",
  };
  let state = { ...DEFAULTS };

  const readAddress = () => {
    const text = location.hash.slice(1);
    if (text && !text.includes("=")) return false; // a link to a section, not to a view
    state = { ...DEFAULTS };
    for (const [name, value] of new URLSearchParams(text))
      if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
    if (!available.includes(state.sort)) state.sort = DEFAULTS.sort;
    return true;
  };
  const addressOf = (changes) => {
    const changed = Object.entries({ ...state, ...changes });
    return `#${new URLSearchParams(changed.filter(([name, value]) => value !== DEFAULTS[name]))}`;
  };
  /** Change the view, and the address with it. */
  const view = (changes) => {
    history.replaceState(null, "", addressOf(changes));
    state = { ...state, ...changes };
    render();
  };

  // Filter and sort: functions of the records alone.

  const shows = (image, k) =>
    image.labels.includes(k) || image.found?.includes(k) || image.by_class?.some(([c]) => c === k);
  const matches = (image) => {
    const k = Number(state.class);
    if (state.split && image.split !== state.split) return false;
    if (state.class && !shows(image, k)) return false;
    if (state.id && !image.id.toLowerCase().includes(state.id.toLowerCase())) return false;
    if (!state.cause) return true;
    if (state.cause === "none") return image.causes?.length === 0;
    return Boolean(image.causes?.some(([cause, c]) => cause === state.cause && (!k || !c || c === k)));
  };
  /** Return the numbers of the images that the filters let through, sorted; no value comes last. */
  const selection = () => {
    const { of, sign } = SORTS[state.sort];
    const kept = [];
    images.forEach((image, number) => {
      if (matches(image)) kept.push([of(image, number), number]);
    });
    kept.sort(([a, m], [b, n]) => (a == null) - (b == null) || sign * (a - b) || m - n);
    return kept.map(([, number]) => number);
  };
  let selected = [];

  // Cards.

  const layerName = (image, over) => (over === "final" ? image.judged : over);
  const JUDGED = { label: "label", prediction: "network", crf: "CRF" };
  const SHORT = {
    missed: "missed",
    false: "false",
    small: "too small",
    large: "too large",
    ignored: "ignored",
  };
  const badges = (image) => {
    const causes = [...new Set((image.causes ?? []).map(([cause]) => cause))];
    const iou = ioUOf(image);
    const sorted = { disagreement: "differs", ignored: "ignored", confidence: "confidence" }[state.sort];
    return element(
      "span",
      { class: "badges" },
      ...(iou == null ? [] : [element("b", { title: "IoU" }, percent(iou))]),
      ...(image.judged ? [element("span", {}, JUDGED[image.judged])] : []),
      ...(sorted && image[state.sort] != null
        ? [element("span", {}, `${sorted} ${percent(image[state.sort])}`)]
        : []),
      ...causes.map((cause) => element("span", { class: `cause ${cause}` }, SHORT[cause])),
    );
  };
  const card = (number) => {
    const image = images[number];
    const alt = `Photograph ${image.id}, ${SPLITS[image.split]}: ${names(image.labels) || "no labels"}`;
    const over = layerOf(number, layerName(image, state.over) ?? "");
    return element(
      "li",
      { class: "card" },
      element(
        "a",
        { href: addressOf({ image: `${image.split}/${image.id}` }), "data-number": number },
        picture(number, [over], { alt }),
        element("span", { class: "name", title: image.id }, image.id),
        badges(image),
      ),
    );
  };

  const pageLink = (page, text, current) =>
    element(
      "a",
      {
        href: addressOf({ page: String(page) }),
        "aria-current": current && "page",
        click: (event) => {
          event.preventDefault();
          view({ page: String(page) });
          at("gallery").scrollIntoView();
        },
      },
      text,
    );
  const renderPages = (page, pages) => {
    const near = [...Array(pages).keys()]
      .map((p) => p + 1)
      .filter((p) => p === 1 || p === pages || Math.abs(p - page) < 3);
    const links = near.flatMap((p, k) => [
      ...(k && near[k - 1] < p - 1 ? ["…"] : []),
      pageLink(p, String(p), p === page),
    ]);
    at("pages").replaceChildren(...(pages > 1 ? links : []));
  };

  // The opened image.

  const dialog = at("image");
  const numberOf = (address) => images.findIndex((i) => `${i.split}/${i.id}` === address);
  const move = (by) => {
    const focused = dialog.open
      ? numberOf(state.image)
      : Number(document.activeElement?.dataset.number ?? NaN);
    const place = selected.indexOf(focused);
    const next = selected[place < 0 ? (Number(state.page) - 1) * PER_PAGE : place + by];
    if (next === undefined) return;
    const page = String(1 + Math.floor(selected.indexOf(next) / PER_PAGE));
    if (dialog.open) view({ page, image: `${images[next].split}/${images[next].id}` });
    else {
      if (page !== state.page) view({ page });
      document.querySelector(`[data-number="${next}"]`)?.focus();
    }
  };
  const button = (text, label, action) =>
    element("button", { type: "button", "aria-label": label, click: action }, text);
  let tileSize = 240;
  const zoom = (factor) => {
    tileSize = Math.min(960, Math.max(120, Math.round(tileSize * factor)));
    document.documentElement.style.setProperty("--tile", `${tileSize}px`);
  };
  const renderImage = () => {
    const number = numberOf(state.image);
    if (number < 0) {
      if (dialog.open) dialog.close();
      return;
    }
    const image = images[number];
    const place = selected.indexOf(number);
    dialog.setAttribute("aria-label", `Image ${image.id}`);
    dialog.replaceChildren(
      element(
        "header",
        {},
        element("h2", {}, image.id),
        element("span", { class: "place" }, place < 0 ? "" : `${place + 1} of ${selected.length}`),
        element(
          "span",
          { class: "buttons" },
          button("‹", "Previous image (k)", () => move(-1)),
          button("›", "Next image (j)", () => move(1)),
          button("−", "Smaller pictures", () => zoom(0.8)),
          button("+", "Larger pictures", () => zoom(1.25)),
          element("label", { class: "slider" }, "masks ", aepsl.opacitySlider()),
          button("×", "Close", () => dialog.close()),
        ),
      ),
      facts(image),
      ...rows(number),
    );
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  dialog.addEventListener("close", () => {
    const number = numberOf(state.image);
    view({ image: "" });
    document.querySelector(`[data-number="${number}"]`)?.focus();
  });
  const inDialog = (action) => () => {
    if (dialog.open) action();
  };
  Object.assign(aepsl.keys, {
    j: () => move(1),
    k: () => move(-1),
    "+": inDialog(() => zoom(1.25)),
    "-": inDialog(() => zoom(0.8)),
  });

  // Tools and legend.

  const select = (name, title, options) =>
    element(
      "label",
      {},
      title,
      element(
        "select",
        { name, change: (event) => view({ [name]: event.target.value, page: "1" }) },
        ...options.map(([value, text]) => element("option", { value }, text)),
      ),
    );
  const entries = (texts, keep) => Object.entries(texts).filter(([name]) => keep(name));
  const tools = at("tools");
  const causes = entries(CAUSES, (name) =>
    name === "none"
      ? images.some((i) => i.causes?.length === 0)
      : images.some((i) => i.causes?.some(([c]) => c === name)),
  );
  const overs = entries(
    LAYERS,
    (name) =>
      name === "none" || name === "final" || images.some((i) => i.layers.some((layer) => layer[0] === name)),
  );
  tools.append(
    select("class", "Class", [["", "all"], ...run.classes.map((name, k) => [String(k), name]).slice(1)]),
    select("split", "Split", [["", "all"], ...entries(SPLITS, (s) => images.some((i) => i.split === s))]),
    select("cause", "Error", [["", "all"], ...causes]),
    select(
      "sort",
      "Order",
      available.map((name) => [name, SORTS[name].title]),
    ),
    select("over", "On the photograph", overs),
    element("label", {}, "Opacity", aepsl.opacitySlider()),
    element(
      "label",
      {},
      "Name",
      element("input", {
        type: "search",
        name: "id",
        placeholder: "part of it",
        autocomplete: "off",
        input: (event) => view({ id: event.target.value, page: "1" }),
      }),
    ),
  );
  tools.addEventListener("submit", (event) => event.preventDefault());

  at("legend").append(
    ...run.classes.slice(1).map((name, k) => {
      const alone = () => aepsl.highlight(k + 1);
      const all = () => aepsl.highlight();
      return element(
        "button",
        {
          type: "button",
          pointerenter: alone,
          pointerleave: all,
          focus: alone,
          blur: all,
          click: () => view({ class: state.class === String(k + 1) ? "" : String(k + 1), page: "1" }),
        },
        swatch(`var(--class-${k + 1})`),
        name,
      );
    }),
    element("span", {}, swatch("#fff"), "ignored"),
  );

  // Everything.

  let drawn = "";
  const render = () => {
    const { image: _, ...cardsOnly } = state;
    if (drawn !== JSON.stringify(cardsOnly)) {
      drawn = JSON.stringify(cardsOnly);
      selected = selection();
      const pages = Math.max(1, Math.ceil(selected.length / PER_PAGE));
      const page = Math.min(pages, Math.max(1, Number(state.page) || 1));
      const first = (page - 1) * PER_PAGE;
      const shown = selected.slice(first, first + PER_PAGE);
      at("cards").replaceChildren(...shown.map(card));
      renderPages(page, pages);
      at("count").textContent = selected.length
        ? `${first + 1} to ${first + shown.length} of ${selected.length} images (${images.length} in all)`
        : `none of ${images.length} images`;
      for (const field of tools.elements) if (field.name) field.value = state[field.name];
      for (const [k, entry] of [...at("legend").querySelectorAll("button")].entries())
        entry.setAttribute("aria-pressed", state.class === String(k + 1));
    }
    renderImage();
  };
  window.addEventListener("hashchange", () => {
    const image = state.image;
    if (!readAddress()) return;
    render();
    if (!state.image && !image && location.hash.length > 1) at("gallery").scrollIntoView();
  });

  // The shape of most photographs is that of all cards.
  const ratios = images.map(({ size: [width, height] }) => width / height).sort((a, b) => a - b);
  document.documentElement.style.setProperty("--ratio", ratios[Math.floor(ratios.length / 2)] ?? 1);
  zoom(1);
  readAddress();
  render();
})();
