/* The pictures of one image, as elements: the photograph below layers, rows of all stages, facts. */
"use strict";
(() => {
  const { element, percent, images, run } = aepsl;

  const CAUSES = {
    missed: "a class is missed",
    false: "a class is false",
    small: "a class is too small",
    large: "a class is too large",
    ignored: "the label is mostly ignored",
    none: "no error found",
  };
  const SPLITS = { train: "training", eval: "evaluation" };
  const LAYERS = {
    final: "last mask",
    label: "label",
    prediction: "prediction",
    crf: "prediction after the CRF",
    truth: "truth",
    errors: "errors",
    saliency: "saliency",
    none: "nothing",
  };
  const REASONS = ["several classes claim them", "mined, but not salient", "salient, but not mined"];
  const ERRORS = ["object missed", "object made up", "classes confused"];

  const file = (number, suffix) => {
    const folder = String(Math.floor(number / aepsl.chunk)).padStart(4, "0");
    return `pictures/${folder}/${String(number).padStart(6, "0")}.${suffix}`;
  };
  const FILTERS = { cam: "heat", saliency: null, reasons: "reasons", errors: "errors" };

  /** Return one layer of an image: a part of its sheet, painted by a filter; null if it has none. */
  const layerOf = (number, name, { paint, opaque = false } = {}) => {
    const { layers } = images[number];
    const index = layers.findIndex((layer) => layer.join() === name);
    if (index < 0) return null;
    const columns = Math.ceil(Math.sqrt(layers.length));
    const rows = Math.ceil(layers.length / columns);
    const along = (position, count) => (count > 1 ? (100 * position) / (count - 1) : 0);
    const kind = name.split(",")[0];
    const filter = paint ?? (kind in FILTERS ? FILTERS[kind] : "classes");
    const style = [
      `background-image: url("${file(number, "png")}")`,
      `background-size: ${100 * columns}% ${100 * rows}%`,
      `background-position: ${along(index % columns, columns)}% ${along(Math.floor(index / columns), rows)}%`,
      filter ? `filter: url(#${filter})` : "",
    ].join(";");
    const classes = `layer ${opaque ? "opaque" : ""} ${kind === "cam" ? "smooth" : ""}`;
    return element("span", { class: classes, style, "aria-hidden": "true" });
  };

  /** Return a picture: the photograph, or nothing, below some layers. */
  const picture = (number, layers, { alt, photograph = true } = {}) => {
    const [width, height] = images[number].size;
    const frame = element("span", {
      class: "picture",
      style: `--width: ${width}; --height: ${height}`,
    });
    const source = { src: file(number, "webp"), width, height, alt, loading: "lazy", decoding: "async" };
    frame.append(element("img", { ...source, class: photograph ? null : "hidden" }));
    frame.append(...layers.filter(Boolean));
    return frame;
  };
  const names = (numbers) => numbers.map((k) => run.classes[k]).join(", ");

  const tile = (title, frame, note) =>
    element("figure", { class: "tile" }, frame, element("figcaption", {}, title, ...(note ? [note] : [])));
  const swatch = (colour, kind = "") =>
    element("span", { class: `swatch ${kind}`, style: `--colour: ${colour}`, "aria-hidden": "true" });
  const key = (texts, colours, kinds, values = []) =>
    element(
      "span",
      { class: "key" },
      ...texts.map((text, k) =>
        element(
          "span",
          {},
          swatch(colours[k + 1], kinds[k]),
          text,
          values[k] == null ? "" : `: ${percent(values[k])}`,
        ),
      ),
    );

  const has = (number, name) => images[number].layers.some((layer) => layer.join() === name);
  /** Return a tile of the photograph below one layer, or null without that layer. */
  const overlaid = (number, name, title, note, more) =>
    has(number, name) && tile(title, picture(number, [layerOf(number, name), more], { alt: title }), note);

  const result = (number) => [
    tile("photograph", picture(number, [], { alt: "photograph" })),
    overlaid(number, "prediction", "prediction"),
    overlaid(number, "crf", "prediction after the CRF"),
    overlaid(number, "truth", "true mask"),
    overlaid(
      number,
      "errors",
      `errors of the ${LAYERS[images[number].judged]}`,
      key(ERRORS, aepsl.errorColours, []),
    ),
  ];
  const label = (number) => {
    const { reasons } = images[number];
    const saliency = layerOf(number, "saliency", { opaque: true });
    const why = reasons && key(REASONS, aepsl.reasonColours, ["up", "down", "across"], reasons);
    return [
      saliency &&
        tile("saliency", picture(number, [saliency], { alt: "saliency, white is 1", photograph: false })),
      overlaid(
        number,
        "label",
        reasons ? "label; ignored pixels are hatched" : "label",
        why,
        reasons && layerOf(number, "reasons"),
      ),
    ];
  };
  const step = (number, t) => {
    const erased = (until) => layerOf(number, `mined,${until}`, { paint: "erased", opaque: true });
    const cams = images[number].layers.filter(([kind, of]) => kind === "cam" && of === t);
    return [
      ...cams.map(([, , k]) => {
        const title = `CAM, step ${t}: ${run.classes[k]}`;
        return tile(
          title,
          picture(number, [erased(t - 1), layerOf(number, `cam,${t},${k}`)], { alt: title }),
        );
      }),
      overlaid(number, `mined,${t}`, `mined up to step ${t}`),
      tile(
        `erased after step ${t}`,
        picture(number, [erased(t)], { alt: `photograph erased after step ${t}` }),
      ),
    ];
  };
  /** Return the pictures of an image in rows: the result first, then what it was made from. */
  const rows = (number) => {
    const steps = images[number].layers.filter(([kind]) => kind === "mined").map(([, t]) => t);
    const byTitle = { Result: result(number), Label: label(number) };
    for (const t of steps) byTitle[`Step ${t}`] = step(number, t);
    return Object.entries(byTitle)
      .map(([title, tiles]) => [title, tiles.filter(Boolean)])
      .filter(([, tiles]) => tiles.length)
      .map(([title, tiles]) =>
        element(
          "section",
          { class: "row", "aria-label": title },
          element("h3", {}, title),
          element("div", { class: "tiles" }, ...tiles),
        ),
      );
  };
  const facts = (image) => {
    const rows = [
      ["Split", SPLITS[image.split]],
      ["Labels", names(image.labels) || "–"],
    ];
    if (image.iou != null) {
      const each = image.by_class.map(([k, iou]) => `${run.classes[k]} ${percent(iou)}`);
      rows.push(["IoU", `${percent(image.iou)} (${each.join(", ")})`]);
    }
    for (const [cause, k] of image.causes ?? []) {
      const about = CAUSES[cause].replace("a class", () => run.classes[k]);
      rows.push([cause === "ignored" ? "Label" : "Error", about]);
    }
    if (image.ignored != null) rows.push(["Ignored", `${percent(image.ignored)} of the label`]);
    if (image.disagreement != null) {
      const pair = image.split === "train" ? "label and prediction" : "prediction and CRF";
      rows.push(["Disagreement", `${percent(image.disagreement)} of the pixels, between ${pair}`]);
    }
    if (image.confidence != null)
      rows.push(["Confidence", `${percent(image.confidence)}, mean over the pixels`]);
    return element(
      "dl",
      { class: "facts" },
      ...rows.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))),
    );
  };

  Object.assign(aepsl, { CAUSES, LAYERS, SPLITS, facts, layerOf, names, picture, rows, swatch });
})();
