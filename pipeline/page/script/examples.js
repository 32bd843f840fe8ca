/* Rows shown below a matrix. */

const short = ([text, more]) => [
  text + (more ? "…" : ""),
  ...(more ? [make("small", {}, ` ${many(more, "character")} more`)] : []),
];
const segments = (pieces) => pieces.map((piece, index) => (index % 2 ? make("mark", {}, piece) : piece));
const card = (example, pairs) => {
  const row = facts.rows[example[2]];
  const origin =
    `${sources[groups[example[0]].source].name}:${row.subset}:${row.row}` + (row.part ? `, part ${row.part}` : "");
  return make(
    "div",
    { class: "example" },
    make("p", { class: "origin" }, origin, " · ", make("code", {}, row.id)),
    make(
      "dl",
      {},
      ...pairs(row, example[1]).flatMap(([name, content]) => [
        make("dt", {}, name),
        make("dd", { dir: "auto" }, ...[content].flat()),
      ]),
    ),
  );
};
const picked = {};
/* The panel of examples below a matrix: selects for line and column, and the rows of that cell. */
const panel = (place, lines, columns, words, content) => {
  const now = picked[place] || {};
  const option = (one) => make("option", { value: one }, one);
  const select = (names, key, label) => {
    const box = make(
      "select",
      {
        "aria-label": label,
        change: () => {
          picked[place] = { ...picked[place], [key]: box.value };
          panel(place, lines, columns, words, content);
        },
      },
      make("option", { value: "" }, "choose"),
      ...names.map(option),
    );
    box.value = names.includes(now[key]) ? now[key] : "";
    return box;
  };
  const head = make(
    "div",
    { class: "pick" },
    make("span", {}, `Examples: click a cell, or choose ${words[0]}`),
    select(lines, "line", words[0]),
    `and ${words[1]}`,
    select(columns, "column", words[1]),
  );
  const whole = lines.includes(now.line) && columns.includes(now.column);
  at(place).replaceChildren(head, ...(whole ? content(now.line, now.column) : []));
};
const pick = (place, line, column, redraw) => {
  picked[place] = { line, column };
  redraw();
};
