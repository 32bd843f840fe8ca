/* Size of each source: bars, and the table of sources. */

const drawSources = (seen) => {
  const order = [...seen.sources].sort((a, b) => b[show.size] - a[show.size] || a.index - b.index);
  const traces = values(show.colour)
    .map((value) => ({
      type: "bar",
      orientation: "h",
      name: plain(tagged(show.colour, value)),
      marker: { color: hue(show.colour)[value] },
      y: order.map((_, index) => index),
      x: order.map(
        (source) =>
          sum(
            source.groups.filter((group) => group[show.colour] === value),
            (group) => group[show.size],
          ) || null,
      ),
      customdata: order.map((source) => plain(source.name)),
      hovertemplate: `%{customdata}: %{x:,} ${amount[show.size]}<extra>%{fullData.name}</extra>`,
    }))
    .filter((trace) => trace.x.some(Boolean));
  const most = Math.max(1, ...order.map((source) => source[show.size]));
  const least = Math.min(most, ...order.map((source) => source[show.size] || most));
  const log = show.log === "log";
  figure("sources-figure", traces, {
    barmode: "stack",
    height: Math.max(order.length * 22 + 110, 190),
    bargap: 0.25,
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left", traceorder: "normal" },
    annotations: order.map((source, index) => ({
      y: index,
      x: log ? Math.log10(source[show.size] || 1) : source[show.size],
      xanchor: "left",
      showarrow: false,
      text: number(source[show.size]),
      font: { size: 11.5, color: "#52606d" },
      xshift: 3,
    })),
    xaxis: axis({
      type: log ? "log" : "linear",
      title: { text: cap(amount[show.size]) + (log ? ", logarithmic scale" : "") },
      tickformat: ",",
      dtick: log ? 1 : undefined,
      range: log ? [Math.floor(Math.log10(Math.max(least, 2) / 2)), Math.log10(most) + 0.45] : [0, most * 1.12],
    }),
    yaxis: axis({
      tickmode: "array",
      tickvals: order.map((_, index) => index),
      ticktext: order.map((source) => plain(source.name) + " "),
      range: [order.length - 0.4, -0.6],
      showgrid: false,
    }),
  });
  const tag = (source, key) => [...new Set(source.groups.map((group) => group[key]))].join(" ");
  table(
    "sources-table",
    [
      {
        name: "source",
        of: (s) => s.name,
        show: (s) =>
          make(
            "a",
            { href: s.homepage.startsWith("https://") && s.homepage, rel: "noreferrer", title: s.about },
            s.name,
          ),
      },
      { name: "title", of: (s) => s.title },
      ...["lang", "task", "gen"].map((key) => ({ name: key, of: (s) => tag(s, key) })),
      {
        name: "licence (terms)",
        of: (s) => tag(s, "license"),
        show: (s) => tag(s, "license") + (s.terms.length ? ` (${s.terms.join(", ")})` : ""),
      },
      { name: "rows", number: true, of: (s) => s.rows },
      { name: "characters", number: true, of: (s) => s.chars },
      {
        name: "per row",
        title: "characters of request and answer, on average",
        number: true,
        of: (s) => Math.round(share(s.chars, s.rows)),
      },
    ],
    seen.sources,
    [
      "all shown",
      "",
      "",
      "",
      "",
      "",
      number(sum(seen.groups, (g) => g.rows)),
      number(sum(seen.groups, (g) => g.chars)),
      number(
        Math.round(
          share(
            sum(seen.groups, (g) => g.chars),
            sum(seen.groups, (g) => g.rows),
          ),
        ),
      ),
    ],
  );
};
