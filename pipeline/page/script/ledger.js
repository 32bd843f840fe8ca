/* The ledger: what became of the raw rows. */

const drawLedger = (seen) => {
  const reasons = (counts) =>
    ranked(counts)
      .map(([reason, rows]) => `${number(rows)} ${reason}`)
      .join(", ");
  const lost = (counts) => sum(Object.values(counts), (one) => one);
  const foot = (of) => number(sum(seen.sources, of));
  table(
    "ledger-table",
    [
      { name: "source", of: (s) => s.name },
      { name: "files", number: true, of: (s) => s.files },
      {
        name: "raw rows",
        number: true,
        title: "of a build that was limited: the rows taken",
        of: (s) => s.raw_rows,
        show: (s) => number(s.raw_rows) + (s.limit ? " (limited)" : ""),
      },
      { name: "rows with records", number: true, of: (s) => s.rows_with_records },
      { name: "rejected", number: true, of: (s) => lost(s.rejected) },
      { name: "records", number: true, of: (s) => s.records },
      { name: "rejected because", soft: true, of: (s) => reasons(s.rejected) },
      {
        name: "lost in kept rows",
        soft: true,
        of: (s) =>
          [
            [s.dropped_parts, "parts"],
            [s.dropped_turns, "turns"],
          ]
            .filter(([counts]) => lost(counts))
            .map(([counts, what]) => `${what}: ${reasons(counts)}`)
            .join("; "),
      },
    ],
    seen.sources,
    [
      "all shown",
      foot((s) => s.files),
      foot((s) => s.raw_rows),
      foot((s) => s.rows_with_records),
      foot((s) => lost(s.rejected)),
      foot((s) => s.records),
      "",
      "",
    ],
  );
};
