/* Near-duplicates between sources. */

const drawDuplicates = (seen) => {
  const there = judged(seen);
  const notion = show.notion;
  const rowsOf = (source, other) => sum(source.groups, (group) => group.near[notion][other.index] || 0);
  const cells = there.map((source) =>
    there.map((other) => {
      const rows = rowsOf(source, other);
      return rows
        ? {
            value: share(rows, source.rows),
            label: show.near === "share" ? percent(share(rows, source.rows)).slice(0, -2) : compact(rows),
            hover:
              `${plain(source.name)}: ${outOf(rows, source.rows, "row")}` +
              `<br>have a near-duplicate in ${plain(other.name)}, by ${NOTIONS[notion]}`,
          }
        : null;
    }),
  );
  matrix(
    "duplicates-figure",
    there.map((source) => source.name),
    there.map((source) => source.name),
    cells,
    { most: 1 },
  );
  const elsewhere = (source) => sum(source.groups, (group) => group.elsewhere[notion]);
  table(
    "duplicates-table",
    [
      { name: "source", of: (s) => s.name },
      { name: "rows", number: true, of: (s) => s.rows },
      { name: "near-duplicate in itself", number: true, of: (s) => rowsOf(s, s) },
      {
        name: "share",
        number: true,
        of: (s) => share(rowsOf(s, s), s.rows),
        show: (s) => percent(share(rowsOf(s, s), s.rows)),
      },
      { name: "in any other source of the corpus", number: true, of: elsewhere },
      {
        name: "share",
        number: true,
        of: (s) => share(elsewhere(s), s.rows),
        show: (s) => percent(share(elsewhere(s), s.rows)),
      },
      {
        name: "most in",
        of: (s) =>
          sources
            .filter((o) => o.index !== s.index)
            .map((o) => [o.name, rowsOf(s, o)])
            .filter(([, n]) => n)
            .sort((a, b) => b[1] - a[1])
            .slice(0, 3)
            .map(([name, n]) => `${name} ${number(n)}`)
            .join(", "),
      },
    ],
    there,
  );
};
