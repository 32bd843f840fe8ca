/* Languages, declared and found. */

const drawLanguages = (seen) => {
  const there = judged(seen);
  const declared = values("lang");
  const found = Object.fromEntries(
    declared.map((tag) => [
      tag,
      totals(
        there.flatMap((s) => s.groups).filter((g) => g.lang === tag),
        (g) => g.languages,
      ),
    ]),
  );
  const columns = ranked(totals(Object.values(found), (one) => one)).map(([tag]) => tag);
  const [first, rest] = [columns.slice(0, 9), columns.slice(9)];
  const line = (tag) => ({
    tag,
    all: sum(Object.values(found[tag]), (rows) => rows),
    rest: sum(rest, (one) => found[tag][one] || 0),
  });
  table(
    "languages-matrix",
    [
      { name: "declared", of: (row) => row.tag, show: (row) => tagged("lang", row.tag) },
      ...first.map((one) => ({ name: one, title: language(one), number: true, of: (row) => found[row.tag][one] || 0 })),
      ...(rest.length
        ? [
            {
              name: `${rest.length} more`,
              title: rest.map((one) => `${one} ${language(one)}`).join(", "),
              number: true,
              of: (row) => row.rest,
            },
          ]
        : []),
      { name: "rows", number: true, of: (row) => row.all },
    ],
    declared.map(line).filter((row) => row.all),
  );
  const of = (source) => totals(source.groups, (group) => group.languages);
  const strange = (source) => sum(source.groups, (group) => group.disagree || 0);
  const rows = sum(there, (s) => s.rows),
    odd = sum(there, strange);
  table(
    "languages-table",
    [
      { name: "source", of: (s) => s.name },
      { name: "declared", of: (s) => [...new Set(s.groups.map((group) => group.lang))].join(" ") },
      {
        name: "found most often",
        of: (s) =>
          ranked(of(s))
            .slice(0, 4)
            .map(([tag, n]) => `${language(tag)} ${percent(share(n, s.rows))}`)
            .join(", "),
      },
      {
        name: "languages",
        title: "different languages found",
        number: true,
        of: (s) => Object.keys(of(s)).filter((tag) => tag !== "und").length,
      },
      { name: "rows", number: true, of: (s) => s.rows },
      { name: "disagree", title: "rows found to be in another language than declared", number: true, of: strange },
      {
        name: "share",
        number: true,
        of: (s) => share(strange(s), s.rows),
        show: (s) => percent(share(strange(s), s.rows)),
      },
    ],
    there,
    ["all shown", "", "", "", number(rows), number(odd), percent(share(odd, rows))],
  );
};
