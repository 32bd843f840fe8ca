/* What the corpus is made of, by the tags of its rows. */

const drawComposition = (seen) => {
  const nodes = new Map();
  for (const group of seen.groups.filter((one) => one.rows)) {
    let path = "";
    TAGS.forEach((tag, depth) => {
      const parent = path;
      path += (depth ? "/" : "") + group[tag];
      const node = nodes.get(path) || {
        parent,
        label: tag === "license" ? group[tag] : tagged(tag, group[tag]),
        lang: group.lang,
        rows: 0,
        chars: 0,
        sources: new Set(),
      };
      node.rows += group.rows;
      node.chars += group.chars;
      node.sources.add(sources[group.source].name);
      nodes.set(path, node);
    });
  }
  const listed = [...nodes.entries()];
  figure(
    "composition-figure",
    listed.length
      ? [
          {
            type: "treemap",
            ids: listed.map(([id]) => id),
            labels: listed.map(([, node]) => plain(node.label)),
            parents: listed.map(([, node]) => node.parent),
            values: listed.map(([, node]) => node[show.area]),
            branchvalues: "total",
            sort: true,
            maxdepth: 4,
            tiling: { pad: 2 },
            marker: { colors: listed.map(([, node]) => hue("lang")[node.lang]), line: { width: 1, color: "#fff" } },
            opacity: 0.92,
            texttemplate: "%{label}<br>%{percentRoot:.1%}",
            customdata: listed.map(([, node]) => folded([...node.sources].join(", "))),
            hovertemplate:
              `%{label}<br>%{value:,} ${amount[show.area]}, %{percentRoot:.1%}` + "<br>%{customdata}<extra></extra>",
            pathbar: { visible: true, thickness: 22 },
            root: { color: "#eef1f4" },
          },
        ]
      : [],
    { height: 480, margin: { l: 0, r: 0, t: 30, b: 0 }, uniformtext: { minsize: 10.5, mode: "hide" } },
  );
  const lines = new Map();
  for (const group of seen.groups.filter((one) => one.rows)) {
    const key = TAGS.map((tag) => group[tag]).join("\n");
    const line = lines.get(key) || { ...group, rows: 0, chars: 0, names: [] };
    lines.set(key, {
      ...line,
      rows: line.rows + group.rows,
      chars: line.chars + group.chars,
      names: [...line.names, sources[group.source].name],
    });
  }
  const all = { rows: sum(seen.groups, (g) => g.rows), chars: sum(seen.groups, (g) => g.chars) };
  table(
    "composition-table",
    [
      ...["lang", "task", "gen"].map((tag) => ({
        name: TITLES[tag].toLowerCase(),
        title: values(tag)
          .map((one) => tagged(tag, one))
          .join(", "),
        of: (line) => line[tag],
      })),
      { name: "licence", of: (line) => line.license },
      { name: "rows", number: true, of: (line) => line.rows },
      { name: "share", number: true, of: (line) => line.rows, show: (line) => percent(share(line.rows, all.rows)) },
      { name: "characters", number: true, of: (line) => line.chars },
      { name: "share", number: true, of: (line) => line.chars, show: (line) => percent(share(line.chars, all.chars)) },
      { name: "sources", soft: true, of: (line) => line.names.join(", ") },
    ],
    [...lines.values()].sort((a, b) => b.rows - a.rows),
  );
};
