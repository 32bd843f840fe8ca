/* Puts the page together. */

const listed = (state) => sources.filter((source) => source.state === state).map((source) => source.name);
const missing = () => {
  const [stale, without] = [listed("stale"), listed("unjudged")];
  const some = (found) =>
    found.length === sources.length
      ? "any source"
      : found.length > 6
        ? `${found.slice(0, 6).join(", ")} and ${found.length - 6} more`
        : found.join(", ");
  return [
    ...(without.length ? [`There are no verdicts for ${some(without)}; make judge makes them.`] : []),
    ...(stale.length
      ? [`The verdicts on ${some(stale).replace("any", "every")} are stale: they judge other records; run make judge.`]
      : []),
  ].join(" ");
};
const absent = () => {
  const none = !listed("judged").length;
  for (const id of ["languages", "flags", "duplicates", "leakage"]) {
    const state = id === "duplicates" && !none ? facts.near_state : "judged";
    const more =
      state === "stale"
        ? "The near-duplicates are stale: sources were judged since without a merge; run make judge."
        : state === "unjudged"
          ? "The near-duplicates were not merged; make judge does it."
          : "";
    at(id).querySelector(".absent").textContent = [missing(), more].filter(Boolean).join(" ");
    at(id).querySelector(".judged").hidden = none || state !== "judged";
  }
  at("notice").textContent = missing();
  at("notice").hidden = !missing();
};

const lead = (seen) => {
  const found = ranked(
    totals(
      judged(seen).flatMap((source) => source.groups),
      (group) => group.languages,
    ),
  );
  const rows = sum(found, ([, count]) => count);
  const told = found.filter(([tag]) => tag !== "und");
  const tags = ranked(totals(seen.groups, (group) => ({ [group.lang]: group.rows })));
  const characters = [sum(seen.groups, (g) => g.request_chars), sum(seen.groups, (g) => g.answer_chars)];
  const tiles = [
    ["rows", number(sum(seen.groups, (g) => g.rows)), `from ${number(sum(seen.sources, (s) => s.raw_rows))} raw rows`],
    [
      "sources",
      number(seen.sources.length),
      many(
        sum(seen.sources, (s) => s.files),
        "raw file",
      ),
    ],
    [
      "characters",
      compact(characters[0] + characters[1], true),
      `${compact(characters[0], true)} in requests, ${compact(characters[1], true)} in answers`,
    ],
    [
      "languages",
      told.length ? number(told.length) : number(tags.filter(([, n]) => n).length),
      told.length
        ? told
            .slice(0, 3)
            .map(([tag, count]) => `${language(tag)} ${percent(share(count, rows))}`)
            .join(", ")
        : "declared; none were detected yet",
    ],
  ];
  at("tiles").replaceChildren(
    ...tiles.map(([name, value, more]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, more))),
    ),
  );
  at("shown").textContent = `${number(seen.sources.length)} of ${many(sources.length, "source")}`;
};

const draw = () => {
  const seen = view();
  lead(seen);
  drawSources(seen);
  drawComposition(seen);
  drawLengths(seen);
  if (listed("judged").length) {
    drawLanguages(seen);
    drawFlags(seen);
    if (facts.near_state === "judged") drawDuplicates(seen);
    drawLeakage(seen);
  }
  drawLedger(seen);
};

const glossary = () => {
  const words = [
    ["record", "One request and its answer, normalised, with its origin; a row of the corpus."],
    ["source", "A data set of an upstream; subsets are its raw files."],
    ...["lang", "task", "gen"].flatMap((tag) =>
      values(tag).map((value) => [value, `${TITLES[tag].toLowerCase()}: ${meaning(tag, value)}`]),
    ),
    ["unknown licence", "Upstream states none, which is no permission."],
    [
      "verdict",
      "What was found out about a record: language, flags, near-duplicates, leaks. It removes nothing; a " +
        "mixture decides what it takes.",
    ],
    ["why", "python -m pipeline why ID tells everything known of the record with that id."],
  ];
  at("glossary").append(...words.flatMap(([word, text]) => [make("dt", {}, word), make("dd", {}, text)]));
};

at("lead").textContent =
  `What a corpus of instruction data holds: ${many(
    sum(groups, (g) => g.rows),
    "row",
  )} from ${many(sources.length, "source")}, ` +
  "each tagged, licensed and traceable to the raw row it was made from. Use the filters to look at a part of it; all " +
  "figures and tables follow.";
at("contents").append(
  ...[...document.querySelectorAll("main > section")].map((one) =>
    make("li", {}, make("a", { href: `#${one.id}` }, one.querySelector("h2").textContent)),
  ),
);
at("print").textContent = facts.fingerprint.slice(0, 16);
at("sources-options").append(
  choice("Length of bars", "size", { rows: "rows", chars: "characters" }),
  choice("Scale", "log", { log: "logarithmic", linear: "linear" }),
  choice("Colour", "colour", { lang: "language", gen: "origin", license: "licence" }),
);
at("composition-options").append(choice("Area", "area", { rows: "rows", chars: "characters" }));
at("lengths-options").append(
  make(
    "fieldset",
    {},
    make("label", { for: "lengths-source" }, "Curves of "),
    make("select", {
      id: "lengths-source",
      change: (event) => {
        show.curve = event.target.value;
        draw();
      },
    }),
  ),
);
at("duplicates-options").append(
  choice("Alike in", "notion", { row: "request and answer", request: "request alone" }),
  choice("Cells", "near", { share: "share of rows (%)", rows: "rows" }),
);
at("leakage-options").append(
  choice("Cells", "leak", { share: "share of the set", rows: "share of the source's rows" }),
);
filters();
glossary();
absent();
draw();
document.body.dataset.drawn = "yes";
