/* Flags by source, and rows they fired for. */

const drawFlags = (seen) => {
  const there = judged(seen);
  const counts = there.map((source) => totals(source.groups, (group) => group.flags));
  const every = totals(counts, (one) => one);
  const flags = [...Object.keys(facts.flags), ...Object.keys(every).filter((one) => !facts.flags[one])].filter(
    (one) => every[one],
  );
  const rows = sum(there, (source) => source.rows);
  const cell = (name, flag, hits, all) =>
    hits
      ? {
          value: share(hits, all),
          label: percent(share(hits, all)).slice(0, -2),
          hover:
            `${plain(name)}: ${outOf(hits, all, "row")}` +
            `<br><b>${plain(flag)}</b> ${folded(facts.flags[flag] || "")}`,
        }
      : null;
  const lines = [
    ...there.map((source, index) => flags.map((flag) => cell(source.name, flag, counts[index][flag], source.rows))),
    flags.map((flag) => cell("all shown", flag, every[flag], rows)),
  ];
  const never = Object.keys(facts.flags).filter((flag) => !every[flag]);
  at("flags-never").textContent = never.length ? `Fired for no row shown: ${never.join(", ")}.` : "";
  matrix("flags-figure", there.length ? [...there.map((source) => source.name), "all shown"] : [], flags, lines);
  const content = (name, flag) => {
    const source = there.find((one) => one.name === name);
    const own = new Set((source ? [source] : there).flatMap((one) => one.groups.map((group) => group.index)));
    const found = facts.flagged.filter(([group, what]) => what === flag && own.has(group)).slice(0, 3);
    const hits = source ? counts[there.indexOf(source)][flag] || 0 : every[flag];
    return [
      make("h3", {}, `${flag} in ${source ? name : "all shown"}: ${many(hits, "row")}`),
      make("p", {}, facts.flags[flag] || ""),
      ...found.map((example) =>
        card(example, (row) => [
          ...(row.flags[flag] ? [["what fired", row.flags[flag]]] : []),
          ["request", short(row.request)],
          ["answer", short(row.answer)],
        ]),
      ),
      ...(hits && !found.length ? [make("p", {}, "No example is kept for this choice.")] : []),
    ];
  };
  const redraw = () =>
    panel(
      "flags-examples",
      [...there.map((source) => source.name), "all shown"],
      flags,
      ["a source", "a flag"],
      content,
    );
  onclick("flags-figure", (row, column) =>
    pick("flags-examples", row < there.length ? there[row].name : "all shown", flags[column], redraw),
  );
  redraw();
};
