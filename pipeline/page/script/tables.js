/* Tables that a click on a heading sorts. */

const sorted = {};
/* A table that a click on a heading sorts. A column is {title, of, show, number}; `of` gives what it is sorted by. */
const table = (place, columns, rows, foot) => {
  const box = at(place);
  const by = sorted[place];
  const ordered =
    by === undefined
      ? rows
      : [...rows].sort((a, b) => {
          const [one, other] = [columns[by.column].of(a), columns[by.column].of(b)];
          return (one < other ? -1 : one > other ? 1 : 0) * by.sign;
        });
  const head = columns.map((column, index) => {
    const direction = by && by.column === index ? (by.sign > 0 ? "ascending" : "descending") : undefined;
    return make(
      "th",
      { scope: "col", class: column.number && "number", title: column.title, "aria-sort": direction },
      make(
        "button",
        {
          type: "button",
          click: () => {
            sorted[place] = {
              column: index,
              sign: direction ? (direction === "ascending" ? -1 : 1) : column.number ? -1 : 1,
            };
            table(place, columns, rows, foot);
          },
        },
        column.name,
      ),
    );
  });
  const cell = (column, value, name = "td") =>
    make(
      name,
      { class: [column.number && "number", column.soft && "soft"].filter(Boolean).join(" ") || undefined },
      ...[value].flat(),
    );
  const line = (row) =>
    make(
      "tr",
      {},
      ...columns.map((column) =>
        cell(column, (column.show || ((r) => (column.number ? number(column.of(r)) : column.of(r))))(row)),
      ),
    );
  box.replaceChildren(
    rows.length
      ? make(
          "table",
          {},
          make("thead", {}, make("tr", {}, ...head)),
          make("tbody", {}, ...ordered.map(line)),
          ...(foot
            ? [make("tfoot", {}, make("tr", {}, ...foot.map((value, index) => cell(columns[index], value))))]
            : []),
        )
      : make("p", {}, "Nothing passes the filters."),
  );
};
