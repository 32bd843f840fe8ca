/* Leakage of evaluation sets, and rows that hold their questions. */

const drawLeakage = (seen) => {
  const there = judged(seen);
  const suites = Object.keys(facts.suites);
  const rows = there.map((source) => totals(source.groups, (group) => group.leaks));
  const passing = new Set(seen.groups.map((group) => group.index));
  const held = (source, suite) =>
    sum(
      facts.held.filter(
        ([name, holders]) =>
          name === suite && holders.some((one) => passing.has(one) && groups[one].source === source.index),
      ),
      (one) => one[2],
    );
  const hit = there.map((_, index) => index).filter((index) => Object.keys(rows[index]).length);
  const cells = hit.map((index) =>
    suites.map((suite) => {
      const [source, count] = [there[index], rows[index][suite]];
      if (!count) return null;
      const items = held(source, suite),
        all = facts.suites[suite];
      return {
        value: show.leak === "share" ? share(items, all) : share(count, source.rows),
        label:
          show.leak === "share"
            ? `${percent(share(items, all))} · ${many(count, "row")}`
            : `${percent(share(count, source.rows))} · ${many(count, "row")}`,
        hover:
          `${plain(source.name)} holds ${outOf(items, all, "item")} of ${plain(suite)}` +
          `<br>in ${many(count, "row")}, ${percent(share(count, source.rows))} of its rows`,
      };
    }),
  );
  if (!suites.length)
    blank("leakage-figure", "No evaluation sets were looked for; make judge SUITES=DIR looks for those in a folder.");
  else if (!hit.length) blank("leakage-figure", `No row shown holds a question of ${suites.join(", ")}.`);
  else {
    const columns = suites.map((suite) => `${suite} (${compact(facts.suites[suite])})`);
    matrix(
      "leakage-figure",
      hit.map((index) => there[index].name),
      columns,
      cells,
    );
  }
  const content = (name, suite) => {
    const source = there.find((one) => one.name === name);
    const own = new Set(source.groups.map((group) => group.index));
    const items = new Set();
    const found = facts.leaked
      .filter(([group, item]) => item.startsWith(`${suite}/`) && own.has(group) && !items.has(item) && items.add(item))
      .slice(0, 10);
    return [
      make(
        "h3",
        {},
        `${suite} in ${name}: ${many(rows[there.indexOf(source)][suite] || 0, "row")}, ` +
          `${many(held(source, suite), "item")} of ${number(facts.suites[suite])}`,
      ),
      ...found.map((example) =>
        card(example, (row, item) => [
          ["record", segments(row.items[item].record)],
          ["item", segments(row.items[item].item)],
          ["", make("small", {}, item)],
        ]),
      ),
    ];
  };
  const redraw = () =>
    panel(
      "leakage-examples",
      hit.map((index) => there[index].name),
      suites,
      ["a source", "an evaluation set"],
      content,
    );
  onclick("leakage-figure", (row, column) => pick("leakage-examples", there[hit[row]].name, suites[column], redraw));
  at("leakage-examples").hidden = !hit.length;
  redraw();
};
