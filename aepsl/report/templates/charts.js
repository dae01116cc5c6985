/* Plots: lines, bars and a confusion matrix, as SVG whose values can be read with mouse and keyboard. */
"use strict";
(() => {
  const { svg, element, percent, run } = aepsl;
  const FONT = 12; // px; an average letter is 0.55 of it wide
  const widthOf = (text) => 0.55 * FONT * text.length;
  const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

  /** Return round numbers from 0 to at least `top`, about `count` of them. */
  const ticks = (top, count = 5) => {
    const rough = top / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
    return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, k) =>
      Number((k * step).toPrecision(6)),
    );
  };
  const text = (x, y, words, attributes = {}) => svg("text", { x, y, ...attributes }, words);
  const line = (x1, y1, x2, y2, name) => svg("line", { x1, y1, x2, y2, class: name });

  /**
   * Let a plot tell its values: the mark nearest to the pointer, or the next one by an arrow key.
   * A mark is a place and what is to be said there: {x, y, text}.
   */
  const tell = (drawing, marks, tip) => {
    let current = -1;
    const ring = svg("circle", { r: 6, class: "ring", visibility: "hidden" });
    drawing.append(ring);
    const show = (number) => {
      current = number;
      const mark = marks[number];
      ring.setAttribute("visibility", mark ? "visible" : "hidden");
      tip.hidden = !mark;
      if (!mark) return;
      ring.setAttribute("cx", mark.x);
      ring.setAttribute("cy", mark.y);
      tip.textContent = mark.text;
      const box = drawing.getBoundingClientRect();
      const parent = tip.offsetParent.getBoundingClientRect();
      const left = box.left - parent.left + mark.x - tip.offsetWidth / 2;
      tip.style.left = `${Math.max(0, Math.min(left, parent.width - tip.offsetWidth))}px`;
      tip.style.top = `${box.top - parent.top + mark.y - tip.offsetHeight - 12}px`;
    };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const far = ({ x, y }) => (x - event.clientX + box.left) ** 2 + (y - event.clientY + box.top) ** 2;
      show(marks.reduce((best, mark, k) => (far(mark) < far(marks[best]) ? k : best), 0));
    });
    drawing.addEventListener("pointerleave", () => show(-1));
    drawing.addEventListener("blur", () => show(-1));
    drawing.addEventListener("keydown", (event) => {
      const last = marks.length - 1;
      const next = {
        ArrowRight: current + 1,
        ArrowDown: current + 1,
        ArrowLeft: current - 1,
        ArrowUp: current - 1,
        Home: 0,
        End: last,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      show(Math.max(0, Math.min(last, next)));
    });
  };

  /** Fill a figure: `draw(width)` returns {parts, marks, height}; it is drawn anew for each width. */
  const plot = (figure, label, draw) => {
    figure.hidden = false;
    const holder = element("div", { class: "drawing" });
    const tip = element("div", { class: "tip", role: "status", hidden: true });
    figure.append(holder, tip);
    let width = 0;
    const render = () => {
      width = holder.clientWidth;
      if (!width) return;
      const { parts, marks, height } = draw(width);
      const drawing = svg("svg", { width, height, role: "img", tabindex: 0, "aria-label": label }, ...parts);
      holder.replaceChildren(drawing);
      tell(drawing, marks, tip);
    };
    new ResizeObserver(() => {
      if (holder.clientWidth !== width) render();
    }).observe(holder);
    render();
    return render;
  };

  /** Draw lines of values over epochs: series are {name, values}. */
  const lines = (figure, series, { unit }) => {
    const top = Math.max(...series.flatMap(({ values }) => values));
    const epochs = Math.max(...series.map(({ values }) => values.length));
    const labels = series.map(
      ({ name, values }) => `${name}: ${values[0].toFixed(3)} to ${values.at(-1).toFixed(3)}`,
    );
    plot(figure, `${unit} by epoch. ${labels.join(". ")}.`, (width) => {
      const height = 260;
      const marks = [];
      const ys = ticks(top);
      const left = 18 + Math.max(...ys.map((y) => widthOf(String(y))));
      const right = width - 12 - (series.length > 1 ? Math.max(...series.map((s) => widthOf(s.name))) : 0);
      const x = (epoch) => left + ((right - left) * (epoch - 1)) / Math.max(1, epochs - 1);
      const y = (value) => height - 40 - ((height - 68) * value) / ys.at(-1);
      const parts = ys.flatMap((value) => [
        line(left, y(value), right, y(value), "grid"),
        text(left - 6, y(value) + 4, String(value), { "text-anchor": "end" }),
      ]);
      const step = Math.ceil(epochs / Math.max(2, Math.floor((right - left) / 40)));
      for (let epoch = 1; epoch <= epochs; epoch += step)
        parts.push(text(x(epoch), height - 22, String(epoch), { "text-anchor": "middle" }));
      parts.push(text((left + right) / 2, height - 4, "epoch", { "text-anchor": "middle", class: "axis" }));
      parts.push(text(0, 10, unit, { class: "axis" }));
      // Names at the ends of the lines, pushed apart where the lines end close together.
      let free = -Infinity;
      const ends = new Map(
        [...series]
          .sort((a, b) => b.values.at(-1) - a.values.at(-1))
          .map((s) => {
            free = Math.max(free + FONT + 1, y(s.values.at(-1)) + 4);
            return [s.name, free];
          }),
      );
      series.forEach(({ name, values }, k) => {
        const points = values.map((value, epoch) => `${x(epoch + 1)},${y(value)}`).join(" ");
        parts.push(svg("polyline", { points, class: `line series-${k % 6}` }));
        if (values.length === 1)
          parts.push(svg("circle", { cx: x(1), cy: y(values[0]), r: 4, class: `dot series-${k % 6}` }));
        if (series.length > 1)
          parts.push(text(right + 6, ends.get(name), name, { class: `name series-${k % 6}` }));
        values.forEach((value, epoch) =>
          marks.push({
            x: x(epoch + 1),
            y: y(value),
            text: `${series.length > 1 ? `${name}, ` : ""}epoch ${epoch + 1}: ${value.toFixed(4)}`,
          }),
        );
      });
      return { parts, marks, height };
    });
  };

  /** Draw horizontal bars: rows are {name, value, low, high, text, colour}; `unit` is of the axis. */
  const bars = (figure, rows, { unit, top, label }) =>
    plot(figure, label, (width) => {
      const given = rows();
      const end = ticks(top ?? Math.max(...given.map(({ value }) => value), 1e-9), width < 400 ? 3 : 5);
      const letters = Math.min(Math.max(...given.map(({ name }) => name.length)), Math.floor(width / 18));
      const left = 0.55 * FONT * letters + 10;
      const right = width - 46;
      const row = given.length > 12 ? 19 : 25;
      const height = given.length * row + 40;
      const x = (value) => left + ((right - left) * value) / end.at(-1);
      const parts = end.flatMap((value) => [
        line(x(value), 0, x(value), height - 38, "grid"),
        text(x(value), height - 22, String(value), { "text-anchor": "middle" }),
      ]);
      parts.push(text((left + right) / 2, height - 4, unit, { "text-anchor": "middle", class: "axis" }));
      const marks = [];
      given.forEach(({ name, value, low, high, text: said, shown, colour }, k) => {
        const y = k * row + row / 2;
        parts.push(text(left - 8, y + 4, short(name, letters), { "text-anchor": "end" }));
        if (value == null) return;
        const bar = {
          x: left,
          y: y - row / 3,
          height: (row * 2) / 3,
          rx: 2,
          width: Math.max(1, x(value) - left),
        };
        if (value)
          parts.push(svg("rect", { ...bar, class: "bar", style: colour ? `fill: ${colour}` : null }));
        if (low != null) parts.push(line(x(low), y, x(high), y, "whisker"));
        parts.push(text(x(Math.max(value, high ?? 0)) + 6, y + 4, shown, { class: "value" }));
        marks.push({ x: x(value), y, text: said });
      });
      return { parts, marks, height };
    });

  /** Draw a confusion matrix: counts[true][predicted], the last column is ignored. */
  const matrix = (figure, counts, classes) => {
    const columns = [...classes, "ignored"].slice(0, counts.some((row) => row.at(-1)) ? undefined : -1);
    const share = counts.map((row) => {
      const total = row.reduce((a, b) => a + b, 0);
      return row.map((count) => (total ? count / total : null));
    });
    const right = classes.map((name, k) => `${name} ${percent(share[k][k])}`);
    plot(
      figure,
      `Share of the pixels of each true class that is predicted right: ${right.join(", ")}.`,
      (width) => {
        const longest = Math.min(14, Math.max(...columns.map((name) => name.length)));
        const left = 0.55 * FONT * longest + 26;
        const cell = Math.min(80, (width - left - 20) / columns.length);
        const high = Math.max(16, Math.min(cell, 34));
        const top = 0.4 * FONT * longest + 34;
        const parts = [text(0, 12, "rows: true class; columns: predicted; % of a row", { class: "axis" })];
        const marks = [];
        columns.forEach((name, k) => {
          const place = [left + (k + 0.5) * cell, top - 6];
          parts.push(text(...place, short(name, 14), { transform: `rotate(-40 ${place.join(" ")})` }));
        });
        classes.forEach((name, k) => {
          const y = top + k * high;
          parts.push(text(left - 8, y + high / 2 + 4, short(name, 14), { "text-anchor": "end" }));
          columns.forEach((other, c) => {
            const value = share[k][c];
            const x = left + c * cell;
            const colour = c === k ? "right" : "wrong";
            parts.push(svg("rect", { x, y, width: cell - 1, height: high - 1, class: "cell" }));
            parts.push(
              svg("rect", {
                x,
                y,
                width: cell - 1,
                height: high - 1,
                class: `cell ${colour}`,
                style: `opacity: ${Math.sqrt(value ?? 0)}`,
              }),
            );
            if (cell >= 30 && value >= 0.005)
              parts.push(
                text(x + cell / 2, y + high / 2 + 4, (100 * value).toFixed(0), {
                  "text-anchor": "middle",
                  class: value > 0.3 ? "on-dark" : "value",
                }),
              );
            if (value != null)
              marks.push({
                x: x + cell / 2,
                y: y + high / 2,
                text: `true ${name}, predicted ${other}: ${percent(value)}`,
              });
          });
        });
        return { parts, marks, height: top + classes.length * high + 4 };
      },
    );
  };

  // The plots of a run.

  const at = (id) => document.getElementById(id);
  const FINAL = ["predictions", "predictions_crf"];
  const SHORT = {
    regions: "step",
    labels: "labels",
    relabelled: "relabelled",
    predictions: "network",
    predictions_crf: "CRF",
  };
  const scored = run.scores.filter((row) => row.miou != null);
  const mine = scored.filter((row) => row.variant === run.variant);
  const nameOf = (row) =>
    `${SHORT[row.target] ?? row.target}${row.target === "regions" ? ` ${row.step}` : ""}`;
  const interval = ({ miou_interval: [low, high] }) => `${(100 * low).toFixed(1)} to ${percent(high)}`;
  const asBar = (name, row) => ({
    name,
    value: 100 * row.miou,
    low: 100 * row.miou_interval[0],
    high: 100 * row.miou_interval[1],
    shown: (100 * row.miou).toFixed(1),
    text: `${name}: ${percent(row.miou)}, interval ${interval(row)}, ${row.images} images of ${row.split}, seed ${row.seed}`,
  });

  if (mine.length > 1)
    bars(at("stages"), () => mine.map((row) => asBar(nameOf(row), row)), {
      unit: "mIoU, %",
      top: 100,
      label: `mIoU of each stage: ${mine.map((row) => `${nameOf(row)} ${percent(row.miou)}`).join(", ")}.`,
    });

  const finals = Object.values(
    Object.fromEntries(
      FINAL.flatMap((target) => scored.filter((row) => row.target === target)).map((row) => [
        row.variant,
        row,
      ]),
    ),
  );
  if (finals.length > 1)
    bars(at("variants"), () => finals.map((row) => asBar(row.variant, row)), {
      unit: "mIoU of the final masks, %",
      top: 100,
      label: `Final mIoU: ${finals.map((row) => `${row.variant} ${percent(row.miou)}`).join(", ")}.`,
    });

  if (mine.length) {
    const select = at("by-class").querySelector("select");
    select.append(
      ...mine.map((row, k) => element("option", { value: k, selected: k === mine.length - 1 }, nameOf(row))),
    );
    const rows = () => {
      const row = mine[select.value];
      return run.classes.map((name, k) => ({
        name,
        value: row.iou[k] == null ? null : 100 * row.iou[k],
        colour: k ? `var(--class-${k})` : null,
        shown: percent(row.iou[k]).slice(0, -2),
        text: `${name}: IoU ${percent(row.iou[k])}, precision ${percent(row.precision[k])}, recall ${percent(row.recall[k])}`,
      }));
    };
    const redraw = bars(at("by-class"), rows, { unit: "IoU, %", top: 100, label: "IoU of each class." });
    select.addEventListener("change", redraw);
  }

  if (finals.length) matrix(at("confusion"), run.confusion, run.classes);

  /** Draw how many images have which value of a measure, 0..1, in ten bars up to the largest value. */
  const histogram = (figure, key, title) => {
    const values = aepsl.images.map((image) => image[key]).filter((value) => value != null);
    if (!values.length) return;
    const tenths = Math.max(1, Math.ceil(10 * values.reduce((a, b) => Math.max(a, b)))); // percent a bar
    const rows = Array.from({ length: 10 }, (_, k) => {
      const count = values.filter((value) => Math.min(9, Math.floor((100 * value) / tenths)) === k).length;
      const name = `${tenths * k} to ${tenths * (k + 1)}\u00a0%`;
      return {
        name,
        value: count,
        shown: String(count),
        text: `${name}: ${count} of ${values.length} images`,
      };
    });
    figure.append(element("figcaption", {}, element("h3", {}, title)));
    bars(figure, () => rows, {
      unit: "images",
      label: `${title}: ${rows.map((row) => row.text).join(", ")}.`,
    });
  };
  if (scored.length) histogram(at("histogram"), "iou", "Images by their IoU");
  else histogram(at("histogram"), "disagreement", "Images by the disagreement between stages");

  // The last curve is that of the segmentation network.
  const losses = run.curves.map(({ loss }, k) => ({ name: `step ${k + 1}`, values: loss ?? [] }));
  const segmentation = losses.pop();
  const mining = losses.filter(({ values }) => values.length);
  if (mining.length) lines(at("mining-loss"), mining, { unit: "label loss" });
  if (segmentation?.values.length) lines(at("segmentation-loss"), [segmentation], { unit: "loss" });

  const times = aepsl.times ?? [];
  if (times.length) {
    const total = times.reduce((sum, { seconds }) => sum + seconds, 0);
    const [unit, divisor] = total > 7200 ? ["h", 3600] : total > 300 ? ["min", 60] : ["s", 1];
    const rows = times.slice(0, 8).map(({ stage, jobs, seconds }) => ({
      name: stage.replaceAll("_", " "),
      value: seconds / divisor,
      shown: (seconds / divisor).toFixed(1),
      text: `${stage.replaceAll("_", " ")}: ${seconds.toFixed(1)} s in ${jobs} ${jobs === 1 ? "job" : "jobs"}`,
    }));
    bars(at("times"), () => rows, {
      unit: `time, ${unit}`,
      label: `Time by stage: ${rows.map((row) => row.text).join(", ")}.`,
    });
  }
})();
