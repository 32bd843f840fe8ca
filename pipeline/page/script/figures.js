/* Figures: their common looks, and matrices of shares. */

const layout = (more) => ({
  font: FONT,
  paper_bgcolor: "#fff",
  plot_bgcolor: "#fff",
  hovermode: "closest",
  margin: { l: 10, r: 20, t: 10, b: 10 },
  hoverlabel: { bgcolor: "#fff", bordercolor: "#52606d", font: { ...FONT, size: 12.5 }, align: "left" },
  ...more,
});
const axis = (more) => ({ automargin: true, gridcolor: "#e4e7eb", zeroline: false, fixedrange: true, ...more });
/* A line of words in a figure's place. Plotly forgets its listeners with the figure. */
const blank = (place, words) => {
  const box = at(place);
  if (box.data) Plotly.purge(box);
  delete box.dataset.listens;
  box.replaceChildren(make("p", { class: "none" }, words));
  return box;
};
const figure = (place, traces, more) => {
  const box = at(place);
  if (!traces.length) return blank(place, "Nothing passes the filters.");
  if (!box.data) box.replaceChildren();
  Plotly.react(box, traces, layout(more), CONFIG);
  return box;
};
const clicked = {};
/* Calls `work` with the (row, column) of a cell of a matrix that is clicked. */
const onclick = (place, work) => {
  const box = at(place);
  clicked[place] = work;
  if (box.data && !box.dataset.listens) {
    box.dataset.listens = "yes";
    box.on("plotly_click", (event) => clicked[place](...[event.points[0].pointIndex].flat()));
  }
};
/* A matrix of shares: `cells[row][column]` is null or {value, label, hover}. Shades grow with the root of the value. */
const matrix = (place, rows, columns, cells, more = {}) => {
  if (!rows.length || !columns.length) return figure(place, []);
  const shade = cells.map((line) => line.map((one) => (one === null ? null : Math.sqrt(one.value))));
  const most = more.most || Math.max(0.05, ...shade.flat().map((one) => one || 0));
  const slanted = columns.length > 9 || columns.some((one) => one.length > 18);
  return figure(
    place,
    [
      {
        type: "heatmap",
        z: shade,
        zmin: 0,
        zmax: most,
        x: columns.map((_, index) => index),
        y: rows.map((_, index) => index),
        text: cells.map((line) => line.map((one) => (one === null ? "" : plain(one.label)))),
        texttemplate: "%{text}",
        textfont: { size: columns.length > 22 ? 9 : columns.length > 14 ? 10.5 : 12 },
        colorscale: SHADES,
        showscale: false,
        xgap: 2,
        ygap: 2,
        hoverongaps: false,
        customdata: cells.map((line) => line.map((one) => (one === null ? "" : one.hover))),
        hovertemplate: "%{customdata}<extra></extra>",
      },
    ],
    {
      height: rows.length * 25 + (slanted ? 145 : 45),
      margin: { l: 10, r: slanted ? 80 : 20, t: 10, b: 10 },
      xaxis: axis({
        side: "top",
        tickmode: "array",
        tickvals: columns.map((_, index) => index),
        ticktext: columns.map(plain),
        showgrid: false,
        tickangle: slanted ? -40 : 0,
        range: [-0.5, columns.length - 0.5],
        ticks: "",
      }),
      yaxis: axis({
        tickmode: "array",
        tickvals: rows.map((_, index) => index),
        ticktext: rows.map((one) => plain(one) + " "),
        showgrid: false,
        range: [rows.length - 0.5, -0.5],
        ticks: "",
      }),
      plot_bgcolor: "#f5f7f9",
      ...(slanted ? {} : { width: Math.min(at(place).clientWidth || 1100, 200 + 150 * columns.length) }),
    },
  );
};

const amount = { rows: "rows", chars: "characters" };
const hue = (tag) => Object.fromEntries(values(tag).map((value, index) => [value, PALETTE[index % PALETTE.length]]));
