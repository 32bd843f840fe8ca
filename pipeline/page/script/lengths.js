/* Lengths of requests and answers. */

const bins = facts.edges;
const binName = (bin) =>
  bin === 0
    ? "no characters"
    : bins[bin + 1] === undefined
      ? `${number(bins[bin])} characters or more`
      : bins[bin + 1] - 1 === bins[bin]
        ? many(bins[bin], "character")
        : `${number(bins[bin])} to ${number(bins[bin + 1] - 1)} characters`;
const drawLengths = (seen) => {
  const filled = seen.sources.filter((source) => source.rows);
  const used = filled.flatMap((source) =>
    source.groups.flatMap((group) =>
      Object.values(group.lengths || {}).flatMap((counts) => Object.keys(counts).map(Number)),
    ),
  );
  const [low, high] = [Math.min(...used), Math.max(...used)];
  const range = used.length ? Array.from({ length: high - low + 1 }, (_, index) => low + index) : [];
  const ticks = range.filter((bin) => bin === 0 || Number.isInteger(Math.log10(bins[bin])));
  const scale = (more) =>
    axis({
      tickmode: "array",
      tickvals: ticks,
      ticktext: ticks.map((bin) => number(bins[bin])),
      range: [low - 0.5, high + 0.5],
      ...more,
    });
  const select = at("lengths-source");
  if (!filled.some((source) => source.name === show.curve)) show.curve = "";
  select.replaceChildren(
    make("option", { value: "" }, "all shown"),
    ...filled.map((source) => make("option", { value: source.name }, source.name)),
  );
  select.value = show.curve;
  const curve = show.curve ? filled.filter((source) => source.name === show.curve) : filled;
  const rows = sum(curve, (source) => source.rows);
  const counts = (of, side) =>
    totals(
      of.flatMap((source) => source.groups),
      (group) => (group.lengths || {})[side],
    );
  const sides = { request: ["Requests", "#0072b2"], answer: ["Answers", "#d55e00"] };
  figure(
    "lengths-figure",
    rows
      ? Object.entries(sides).map(([side, [name, colour]]) => {
          const found = counts(curve, side);
          return {
            type: "scatter",
            mode: "lines",
            line: { shape: "hvh", color: colour, width: 2.5, dash: side === "answer" ? "dot" : "solid" },
            name,
            x: range,
            y: range.map((bin) => share(found[bin] || 0, rows)),
            customdata: range.map((bin) => `${binName(bin)}: ${many(found[bin] || 0, "row")}`),
            hovertemplate: "%{customdata}, %{y:.1%}<extra>%{fullData.name}</extra>",
          };
        })
      : [],
    {
      height: 280,
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom" },
      margin: { l: 10, r: 20, t: 34, b: 10 },
      title: {
        text: plain(show.curve || "All shown") + `, ${many(rows, "row")}`,
        font: { size: 14 },
        x: 0,
        xanchor: "left",
        y: 0.98,
        yanchor: "top",
        automargin: false,
      },
      xaxis: scale({ title: { text: "Characters, logarithmic scale" }, showgrid: true }),
      yaxis: axis({ tickformat: ".0%", rangemode: "tozero", title: { text: "Share of rows" } }),
    },
  );
  for (const [side, [name]] of Object.entries(sides)) {
    const lines = filled.map((source) => counts([source], side));
    figure(
      `lengths-${side}`,
      filled.length
        ? [
            {
              type: "heatmap",
              x: range,
              y: filled.map((_, index) => index),
              colorscale: SHADES,
              showscale: false,
              ygap: 1,
              zmin: 0,
              zmax: 0.4,
              z: filled.map((source, index) => range.map((bin) => share(lines[index][bin] || 0, source.rows) || null)),
              hoverongaps: false,
              customdata: filled.map((source, index) =>
                range.map((bin) => {
                  const rows = outOf(lines[index][bin] || 0, source.rows, "row");
                  return `${plain(source.name)}: ${rows}<br>have ${binName(bin)}`;
                }),
              ),
              hovertemplate: "%{customdata}<extra></extra>",
            },
          ]
        : [],
      {
        height: filled.length * 18 + 90,
        margin: { l: 10, r: 20, t: 30, b: 10 },
        title: { text: name, font: { size: 14 }, x: 0, xanchor: "left", y: 0.99, yanchor: "top", automargin: false },
        xaxis: scale({ showgrid: true, title: { text: "Characters, logarithmic scale" } }),
        yaxis: axis({
          tickmode: "array",
          tickvals: filled.map((_, index) => index),
          ticktext: filled.map((source) => plain(source.name) + " "),
          range: [filled.length - 0.5, -0.5],
          showgrid: false,
          ticks: "",
        }),
      },
    );
    onclick(`lengths-${side}`, (row) => {
      show.curve = filled[row].name;
      draw();
      at("lengths-options").scrollIntoView({ block: "start" });
    });
  }
};
